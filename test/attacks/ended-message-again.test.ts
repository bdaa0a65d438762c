/** A message that a person has ended does not make duplicates, and a duplicate for another recipient is recorded. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { HandoffJob, InboundJob, QueueRoom } from '../../src/queue/index.ts';
import { SpoolFolder } from '../../src/spool/folder.ts';
import { accept, until } from '../support/messages.ts';
import { commitOne, openTestQueue, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

let server: TestRedis;
let queue: QueueRoom;
useTestQueue(
  (opened) => {
    ({ server, queue } = opened);
  },
  { spool: { inlineLimit: '1KiB' } },
);

const types = async (id: string) => (await queue.ledger.get(id))?.events.map(({ type }) => type) ?? [];

describe('the same octets after their message was terminated', () => {
  for (const size of [100, 5000])
    it(`are worked on, with the first life in their record, ${size} octets`, async () => {
      const octets = randomBytes(size);
      const { id } = await accept(queue, octets);
      // Its job is still there when it comes again.
      await queue.flow.terminate(id, 'wrong order', { by: 'ada' });
      const again = await accept(queue, octets);
      assert.deepEqual(again, { id, duplicate: false });
      assert.deepEqual(await types(id), ['received', 'terminated', 'received']);

      const seen: (string | null)[] = [];
      const jobs: InboundJob[] = [];
      const decrypt = await queue.queues.createWorker(
        'inbound',
        async (job) => {
          const { state } = await queue.flow.fetch(job.id, [job.octets]);
          seen.push(state);
          if (state !== 'received') return { done: true };
          assert.deepEqual(await queue.spool.read(job.octets), octets);
          jobs.push(job);
          const content = queue.spool.create();
          await content.write(Buffer.from('decoded'));
          const rest = {
            result: Buffer.from('{}'),
            destinations: ['one'],
            partner: null,
            partnerBy: null,
            facts: {},
          };
          await queue.flow.decoded(job, { content, ...rest });
          return { done: true };
        },
        { concurrency: 1 },
      );
      await until(async () => seen.length === 2);
      await decrypt.close(5000);
      // The job of the first life has nothing to do.
      assert.deepEqual([seen.filter((state) => state === 'received').length, seen.length], [1, 2]);
      assert.deepEqual(
        jobs.map(({ again: life }) => life),
        [1],
      );

      const handed: HandoffJob[] = [];
      const handoff = await queue.queues.createWorker(
        'handoff',
        async (job) => {
          handed.push(job);
          await queue.flow.handedOff(job, {});
          return { done: true };
        },
        { concurrency: 1 },
      );
      await until(async () => (await queue.ledger.get(id))?.state === 'delivered');
      await handoff.close(5000);
      // Another idempotency key than that of the first life.
      assert.deepEqual(
        handed.map(({ again: life }) => life),
        [1],
      );
      const ended = (await queue.ledger.get(id))?.events.find(({ type }) => type === 'terminated');
      assert.deepEqual([ended?.facts.by, ended?.facts.why], ['ada', 'wrong order']);
      // What was delivered is a duplicate, as ever.
      assert.equal((await accept(queue, octets)).duplicate, true);
    });

  it('are no duplicate either when the record was forgotten', async () => {
    const room = await openTestQueue(server, { retention: { ledger: '0s' } });
    for (const end of ['terminated', 'delivered'] as const) {
      const { id } = await accept(queue, end);
      if (end === 'terminated') await queue.flow.terminate(id, 'test');
      else {
        await queue.redis.hset(`{sealpost}:m:${id}`, 's', 'delivered');
        await queue.redis.zadd('{sealpost}:ix:s:delivered', Date.now(), id);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
      await room.sweep();
      assert.equal(await queue.ledger.get(id), null);
      assert.equal((await accept(queue, end)).duplicate, end === 'delivered');
    }
    await room.close();
  });
});

it('a duplicate for another recipient is recorded with its envelope', async () => {
  const entry = (to: string) => ({
    mailbox: 'edi',
    origin: { kind: 'smtp', detail: {} } as const,
    envelope: { from: 'partner@example.com', to: [to] },
    messageId: null,
  });
  const commit = async (to: string) => {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('for two'));
    return (await queue.intake.commit(writer, [entry(to)]))[0];
  };
  const first = await commit('orders@example.net');
  const second = await commit('invoices@example.net');
  assert.deepEqual([second?.id, second?.duplicate], [first?.id, true]);
  const record = await queue.ledger.get(first?.id ?? '');
  const noted = record?.events.find(({ type }) => type === 'duplicate');
  assert.deepEqual(noted?.facts.to, ['invoices@example.net']);
  assert.equal(noted?.facts.from, 'partner@example.com');
});

it('a draft that fails in the middle of its making is gone at once', async () => {
  const folder = join(server.dataDir, 'full');
  // A key that cannot seal: the file is open by then, as on a disk that is full.
  const store = new SpoolFolder(folder, generateKeyPairSync('ed25519').publicKey);
  await assert.rejects(store.create('0'.repeat(32)));
  assert.deepEqual(await readdir(join(folder, 'tmp')), []);
});

describe('after a terminate, by whatever a message is known', () => {
  it('its Message-ID, the UID of an IMAP message: it comes to life again, and once only', async () => {
    const mailbox = (name: string, duplicatesBy: string) => ({
      ...{ name, addresses: [`${name}@own.example`], duplicatesBy },
      destinations: [{ type: 'directory', path: '/nowhere' }],
    });
    const room = await openTestQueue(server, {
      mailboxes: [mailbox('by-id', 'message-id'), mailbox('by-uid', 'uid')],
    });
    const uid = { server: 'imap.example', folder: 'INBOX', uidValidity: '7', uid: 4711 };
    for (const [name, kind, detail, messageId] of [
      ['by-id', 'smtp', {}, '<same@partner.example>'],
      ['by-uid', 'imap', uid, null],
    ] as const) {
      const bring = async (text: string) => {
        const writer = room.intake.begin();
        await writer.write(Buffer.from(text));
        const entry = { mailbox: name, origin: { kind, detail }, messageId };
        const [result] = await room.intake.commit(writer, [{ ...entry, envelope: { from: '', to: [] } }]);
        assert.ok(result);
        return result;
      };
      const { id } = await bring('one');
      // Other octets: it is known by something else.
      assert.deepEqual(await bring('two'), { id, duplicate: true });
      await room.flow.terminate(id, 'test');
      assert.deepEqual(await bring('two'), { id, duplicate: false });
      assert.deepEqual(await bring('one'), { id, duplicate: true });
      assert.deepEqual(await types(id), ['received', 'duplicate', 'terminated', 'received', 'duplicate']);
      const record = await room.ledger.get(id);
      assert.equal(record?.state, 'received');
      assert.equal(record?.octets, 3);
    }
    await room.close();
  });

  it('its idempotency key, outbound: it is sent, and the job of its first life is not', async () => {
    const send = async (text: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from(text));
      const idempotency = { key: 'order 1', fingerprint: text.replaceAll(' ', '') };
      const entry = { partner: 'acme', idempotency, messageId: null };
      const origin = { kind: 'command', detail: {} } as const;
      return await commitOne(queue, writer, { ...entry, origin, envelope: { from: '', to: [] } });
    };
    const { id } = await send('the wrong order');
    await queue.flow.terminate(id, 'wrong');
    assert.deepEqual(await send('the right order'), { id, duplicate: false });
    const sent: string[] = [];
    let jobs = 0;
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job) => {
        jobs += 1;
        const { state } = await queue.flow.fetch(job.id, [job.octets]);
        if (state !== 'queued') return { done: true };
        sent.push((await queue.spool.read(job.octets)).toString());
        await queue.flow.sent(job, {});
        return { done: true };
      },
      { concurrency: 1 },
    );
    await until(async () => jobs === 2);
    await worker.close(5000);
    assert.deepEqual(sent, ['the right order']);
    assert.equal((await queue.ledger.get(id))?.state, 'sent');
    assert.deepEqual(await send('the right order'), { id, duplicate: true });
  });
});
