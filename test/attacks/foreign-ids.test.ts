/** The id of a message of somebody else: it must be like one that never was, also in what is read for it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { messageRoutes, visible } from '../../src/api/messages.ts';
import { allGranted, Client } from '../../src/client/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

describe('the id of a foreign message', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });

  it('costs what an unknown one costs: its record, which may be long, is not read', async () => {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('x'));
    const [sent] = await queue.intake.commitOutbound(writer, [
      {
        ...{ origin: { kind: 'api', detail: {} }, messageId: null, partner: 'other' },
        envelope: { from: 'a@own.example', to: ['b@other.example'] },
      },
    ]);
    const id = sent?.id ?? '';
    const text = 'x'.repeat(200);
    for (let each = 0; each < 100; each += 1)
      await queue.ledger.note(id, { type: 'retried', at: each, facts: { text } });
    let [records, owners] = [0, 0];
    const counting = {
      ledger: Object.assign(Object.create(queue.ledger), {
        get(of: string) {
          records += 1;
          return queue.ledger.get(of);
        },
        ownerOf(of: string) {
          owners += 1;
          return queue.ledger.ownerOf(of);
        },
      }),
    };
    const of = (...partners: string[]) => new Client('erp', { ...allGranted, partners, mailboxes: [] });
    const asked = (client: Client, wanted: string) =>
      visible(counting, client, wanted).then(
        ({ events }) => events.length,
        (error: Error) => error.message.replaceAll(wanted, 'ID'),
      );
    const unknown = '0'.repeat(id.length);
    const answers = [await asked(of('acme'), id), await asked(of('acme'), unknown)];
    assert.equal(answers[0], answers[1]);
    assert.deepEqual([records, owners], [0, 2]);
    // what decides has the same form for both, whatever is in the record
    assert.deepEqual(await queue.ledger.ownerOf(id), {
      ...{ direction: 'outbound', mailbox: null, partner: 'other' },
    });
    assert.equal(await queue.ledger.ownerOf(unknown), null);
    assert.equal(typeof (await asked(of('other'), id)), 'number');
    assert.equal(records, 1);
  });

  it('hides none of our own in a search by the beginning of ids, and its record is not read', async () => {
    const commit = async (partner: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('x'));
      const origin = { kind: 'api', detail: {} } as const;
      const envelope = { from: 'a@own.example', to: [`b@${partner}.example`] };
      const [sent] = await queue.intake.commitOutbound(writer, [
        { origin, messageId: null, partner, envelope },
      ]);
      return sent?.id ?? '';
    };
    const own = await commit('acme');
    const theirs = await Promise.all(Array.from({ length: 200 }, () => commit('other')));
    const read: string[] = [];
    const { ledger: kept } = queue;
    const ledger = {
      get(of: string) {
        read.push(of);
        return kept.get(of);
      },
      ownerOf: (of: string) => kept.ownerOf(of),
      subjects: (ids: string[]) => kept.subjects(ids),
      matching: (text: string, most: number) => kept.matching(text, most),
      matchingAmong: (...given: Parameters<typeof kept.matchingAmong>) => kept.matchingAmong(...given),
    };
    const parts = {
      config: { mailboxes: [], partners: [] },
      queue: Object.assign(Object.create(queue), { ledger }),
    };
    // What else is configured is not asked.
    const routes: ReturnType<typeof messageRoutes> = Reflect.apply(messageRoutes, undefined, [parts]);
    const list = routes.find(({ name }) => name === 'listMessages');
    assert.ok(list);
    const client = new Client('erp', { ...allGranted, partners: ['acme'], mailboxes: [] });
    const found = async (id: string) => {
      const call = Object.assign(Object.create(null), { client, params: {}, query: { id }, address: '' });
      const answer = await list.handle(call);
      return JSON.stringify('json' in answer ? answer.json : answer);
    };
    for (const prefix of [own, own.slice(0, 8), own.slice(0, 2), 'o'])
      assert.deepEqual(
        JSON.parse(await found(prefix)).messages.map(({ id }: { id: string }) => id),
        [own],
        prefix,
      );
    const [foreign = ''] = theirs;
    assert.equal(await found(foreign), await found(`o${'0'.repeat(31)}`));
    assert.deepEqual([...new Set(read)], [own]);
  });
});
