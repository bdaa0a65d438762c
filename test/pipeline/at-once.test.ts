import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import { createLocalDestination, type Delivery, type LocalDestination } from '../../src/handoff/index.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { decodeStep } from '../../src/pipeline/decode.ts';
import { Turns } from '../../src/pipeline/index.ts';
import { ProfileBook } from '../../src/profile/index.ts';
import type { InboundJob, QueueRoom } from '../../src/queue/index.ts';
import { deps } from '../handoff/support.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const mail = (text: string) =>
  `From: a@partner.example\r\nSubject: ${text}\r\nContent-Type: text/plain\r\n\r\n${text}\r\n`;
const never = new AbortController().signal;

describe('a message that is handed off in the step that decodes it', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  before(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server, { retention: { original: '1h' } });
  });
  after(async () => {
    await queue.close();
    await server.stop();
  });

  const destinations = [{ type: 'directory', path: '/none' }] as const;
  const settings = {
    mailboxes: [{ name: 'edi', addresses: ['edi@example.net'], notSmime: 'pass', destinations }],
  };

  /** The step with a destination that answers as told; a fresh one, as in another process. */
  function step(local: LocalDestination | undefined, room = queue, of: Record<string, unknown> = settings) {
    const { mailboxes, strong } = testConfig(server, of);
    return decodeStep({
      guards: room.guards,
      explain: async () => ({ not: 'nobody is told here' }),
      trace: (mailbox) => `trace-of-${mailbox}`,
      spool: room.spool,
      flow: room.flow,
      mailboxes,
      strong,
      partners: new PartnerDirectory([], new Map()),
      profiles: new ProfileBook(),
      optionsFor: () => ({
        identities: [],
        trust: { anchors: [] },
        form: 'mail',
        at: new Date(),
      }),
      large: new Turns(1),
      local: () => local,
    });
  }

  function destination(answer: Awaited<ReturnType<LocalDestination['take']>>) {
    const taken: Delivery[] = [];
    const take = async (delivery: Delivery) => {
      taken.push(delivery);
      return answer;
    };
    return { taken, local: { name: 'directory', take } };
  }

  async function jobOf(id: string): Promise<InboundJob> {
    const [data] = await queue.redis.hmget(`{sealpost}:inbound:${id}`, 'data');
    return JSON.parse(data ?? '');
  }
  const octetKeys = () => queue.redis.keys('{sealpost}:o:*');
  const handoffs = () => queue.redis.llen('{sealpost}:handoff:wait');

  it('is delivered, with all its events, and keeps nothing but the original', async () => {
    const { id } = await accept(queue, mail('at once'));
    const { local, taken } = destination({ facts: { folder: 'f' } });
    assert.deepEqual(await step(local)(await jobOf(id), { signal: never }), { done: true });
    const record = await queue.ledger.get(id);
    assert.equal(record?.state, 'delivered');
    assert.deepEqual(
      record?.events.map(({ type }) => type),
      ['received', 'decoded', 'handed-off', 'delivered'],
    );
    assert.deepEqual(record?.events[2]?.facts, { destination: 'directory', folder: 'f' });
    assert.equal(taken[0]?.idempotencyKey, `${id}.directory`);
    assert.equal((await taken[0]?.read())?.toString(), mail('at once'));
    assert.equal(taken[0]?.contentSha256, record?.sha256);
    const keys = await octetKeys();
    assert.equal(keys.length, 1);
    const life = await queue.redis.pttl(keys[0] ?? '');
    assert.ok(life > 3_500_000 && life <= 3_600_000, `${life}`);
    assert.equal(await handoffs(), 0);
    // A crash before the end of the job starts it again: it is done.
    assert.deepEqual(await step(local)(await jobOf(id), { signal: never }), { done: true });
    assert.equal(taken.length, 1);
    // The original is there, so it can be decoded again, and the destination can tell.
    await queue.flow.decodeAgain(id);
    const again = (await queue.redis.keys(`{sealpost}:inbound:${id}.again.*`)).find(
      (key) => !key.endsWith(':lock'),
    );
    const [data] = await queue.redis.hmget(again ?? '', 'data');
    await step(local)(JSON.parse(data ?? ''), { signal: never });
    assert.equal(taken[1]?.idempotencyKey, `${id}.directory.again1`);
    assert.equal((await queue.ledger.get(id))?.state, 'delivered');
    await queue.redis.unlink(...keys);
  });

  it('keeps the subject where the mailbox wants it, on each way, and nowhere else', async () => {
    const keeping = { mailboxes: settings.mailboxes.map((each) => ({ ...each, keepSubjects: true })) };
    const subjectOf = async (id: string) => (await queue.ledger.subjects([id]))[0];
    const { local } = destination({ facts: { folder: 'f' } });
    const [atOnce, queued, unkept] = [
      await accept(queue, mail('Kept at once')),
      await accept(queue, mail('Kept and queued')),
      await accept(queue, mail('Not kept')),
    ];
    await step(local, queue, keeping)(await jobOf(atOnce.id), { signal: never });
    assert.equal(await subjectOf(atOnce.id), 'Kept at once');
    await step(undefined, queue, keeping)(await jobOf(queued.id), { signal: never });
    assert.equal(await subjectOf(queued.id), 'Kept and queued');
    await queue.flow.terminate(queued.id, 'test');
    await step(local)(await jobOf(unkept.id), { signal: never });
    assert.equal(await subjectOf(unkept.id), null);
    const suspends = { mailboxes: keeping.mailboxes.map((each) => ({ ...each, notSmime: 'suspend' })) };
    const { id } = await accept(queue, mail('Kept and suspended'));
    const outcome = await step(local, queue, suspends)(await jobOf(id), { signal: never });
    assert.ok('suspend' in outcome);
    assert.equal(outcome.from?.subject, 'Kept and suspended');
    assert.ok(!JSON.stringify(outcome.facts).includes('Kept'));
    await queue.flow.terminate(id, 'test');
    await queue.redis.unlink(...(await octetKeys()), ...(await queue.redis.keys('{sealpost}:handoff:*')));
  });

  it('goes through the queue when the destination does not take it', async () => {
    const { id } = await accept(queue, mail('through the queue'));
    const { local, taken } = destination(undefined);
    assert.deepEqual(await step(local)(await jobOf(id), { signal: never }), { done: true });
    assert.equal(taken.length, 1);
    const record = await queue.ledger.get(id);
    assert.equal(record?.state, 'decoded');
    assert.equal(await handoffs(), 1);
    assert.equal((await octetKeys()).length, 3);
    await queue.flow.terminate(id, 'test');
  });

  it('goes nowhere when a person has ended it meanwhile', async () => {
    const { id } = await accept(queue, mail('ended'));
    const job = await jobOf(id);
    const local = {
      name: 'directory',
      async take() {
        await queue.flow.terminate(id, 'in the middle');
        return {
          facts: {},
          job: {
            prefix: '{sealpost}',
            queue: 'ended',
            name: 'message',
            id: 'j',
            data: Buffer.from('{}'),
            options: {},
          },
        };
      },
    };
    assert.deepEqual(await step(local)(job, { signal: never }), { done: true });
    assert.equal((await queue.ledger.get(id))?.state, 'terminated');
    assert.equal(await queue.redis.exists('{sealpost}:ended:j'), 0);
  });

  it('is a job of the queue as BullMQ would add it, once', async () => {
    const connection = queue.connect('test');
    const orders = new Queue('orders', { connection, prefix: '{sealpost}' });
    const config = { type: 'queue', queue: 'orders', inlineLimit: 262_144 } as const;
    const parts = deps({ redisPrefix: '{sealpost}' });
    const local = await createLocalDestination(config, parts);
    const { id } = await accept(queue, mail('a job'));
    const job = await jobOf(id);
    await step(local)(job, { signal: never });
    assert.equal((await queue.ledger.get(id))?.state, 'delivered');
    const [ours] = await orders.getJobs(['waiting']);
    assert.ok(ours);
    const theirs = await orders.add(ours.name, ours.data, {
      attempts: 10,
      backoff: { type: 'exponential', delay: 5000, jitter: 0.5 },
      removeOnComplete: { age: 3600, count: 1000 },
      jobId: 'theirs',
    });
    const hash = async (of: string) => {
      const { timestamp, opts, ...fields } = await queue.redis.hgetall(`{sealpost}:orders:${of}`);
      return { ...fields, opts: { ...JSON.parse(opts ?? ''), jobId: undefined } };
    };
    assert.deepEqual(await hash(ours.id ?? ''), await hash(theirs.id ?? ''));
    assert.equal(ours.data.parts[0].text, 'a job\n');
    await orders.close();
    connection.disconnect();
  });
});
