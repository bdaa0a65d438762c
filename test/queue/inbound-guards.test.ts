/** What is remembered of inbound messages: which one had something first, and how many were explained to a partner. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const hour = 3_600_000;

describe('what is remembered of inbound messages', () => {
  let queue: QueueRoom;
  let time = Date.parse('2026-01-01T00:00:00Z');
  useTestQueue(
    (opened) => ({ queue } = opened),
    {},
    () => time,
  );

  async function accepted(text: string): Promise<string> {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from(text));
    const origin = { kind: 'smtp', detail: {} } as const;
    const entry = { mailbox: 'orders', origin, envelope: { from: '', to: [] }, messageId: null };
    const [result] = await queue.intake.commit(writer, [entry]);
    return result?.id ?? '';
  }

  it('the first message has it, however often it asks, and the next one learns which it was', async () => {
    const [one, two] = [await accepted('one'), await accepted('two')];
    assert.equal(await queue.guards.first('aa', one, hour), null);
    assert.equal(await queue.guards.first('aa', one, hour), null);
    assert.equal(await queue.guards.first('aa', two, hour), one);
    assert.equal(await queue.guards.first('bb', two, hour), null);
  });

  it('of two at once, one is the first', async () => {
    const ids = await Promise.all(['a', 'b', 'c', 'd'].map(accepted));
    const found = await Promise.all(ids.map((id) => queue.guards.first('cc', id, hour)));
    assert.equal(found.filter((each) => each === null).length, 1);
    const first = ids[found.indexOf(null)];
    assert.ok(found.every((each) => each === null || each === first));
  });

  it('a message that a person has ended gives it up, and what is forgotten as well', async () => {
    const [one, two, three] = [await accepted('five'), await accepted('six'), await accepted('seven')];
    await queue.guards.first('dd', one, hour);
    await queue.flow.terminate(one, 'spam', { by: 'a test' });
    assert.equal(await queue.guards.first('dd', two, 1), null);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await queue.guards.first('dd', three, hour), null);
  });

  it('explanations are counted over 24 hours, by partner, and once for each message', async () => {
    const may = (partner: string, id: string) => queue.guards.mayExplain(partner, id, 2);
    assert.deepEqual(
      [await may('acme', 'i1'), await may('acme', 'i2'), await may('acme', 'i3')],
      [true, true, false],
    );
    assert.equal(await may('acme', 'i1'), true, 'it is told already, or was interrupted');
    assert.equal(await may('big', 'i3'), true);
    time += 24 * hour - 1;
    assert.equal(await may('acme', 'i3'), false);
    time += 1;
    assert.equal(await may('acme', 'i3'), true);
  });
});
