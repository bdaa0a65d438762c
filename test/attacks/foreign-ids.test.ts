/** The id of a message of somebody else: it must be like one that never was, also in what is read for it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { visible } from '../../src/api/messages.ts';
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
});
