/** Mail that only claims to be from a partner, to hide what the partner's own mail uses. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

describe('counters of how mail of a partner was protected', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    ({ queue } = opened);
  });
  const origin = { kind: 'smtp', detail: {} } as const;
  const envelope = { from: 'edi@acme.example', to: ['orders@own.example'] };

  async function receive(used: string): Promise<void> {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from(used));
    const entry = { mailbox: 'orders', origin, envelope, messageId: null };
    const [result] = await queue.intake.commit(writer, [entry]);
    const octets = await queue.flow.originalOf(result?.id ?? '');
    assert.ok(result && octets);
    const job = { ...entry, id: result.id, direction: 'inbound', receivedAt: Date.now(), octets } as const;
    const partnerBy = used.startsWith('c') ? ('address' as const) : ('signature' as const);
    await queue.flow.dropped(job, { partner: 'acme', partnerBy, event: 'dropped', facts: { used } });
  }

  it('room-taken: codes of mail that anybody can write leave room for those of signed mail', async () => {
    // An RSA key of each size makes a code of its own.
    for (let at = 0; at < 70; at++) await receive(`cO:256_p1.r${2048 + at}`);
    for (let at = 0; at < 48; at++) await receive(`iO:256_p1.r${2048 + at}`);
    const counts = new Map(
      (await queue.ledger.used('acme', 1, Date.now())).map((each) => [each.code, each.messages]),
    );
    const codes = [...counts.keys()];
    assert.equal(codes.filter((each) => each.startsWith('i')).length, 48);
    assert.deepEqual([codes.filter((each) => each.startsWith('c')).length, counts.get('*')], [16, 54]);
  });
});
