/** A backup route: it takes over when the first one is down, gives back when it works, and never has weaker TLS. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import { readConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { OutboundJob, Outcome, QueueRoom } from '../../src/queue/index.ts';
import { sharedBucket } from '../../src/redis/index.ts';
import { withBackup } from '../../src/smtp/failover.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { RouteRate, Sender } from '../../src/smtp/sender.ts';
import { until } from '../support/messages.ts';
import { commitOne, useTestQueue } from '../support/queue.ts';

const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

/** A server that takes everything, `stopped` in between: then it answers 421. */
async function startServer() {
  const state = { port: 0, taken: 0, asked: 0, stopped: false, mute: false };
  const server = createServer((socket) => {
    let [text, inData] = ['', false];
    socket.on('error', () => {});
    state.asked += 1;
    socket.write(state.stopped ? '421 closing\r\n' : '220 here\r\n');
    if (state.stopped) return void socket.end();
    socket.on('data', (octets) => {
      text += octets.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (inData && line !== '.') continue;
        if (inData) {
          state.taken += 1;
          if (state.mute) return void socket.destroy();
        }
        inData = line === 'DATA';
        socket.write(inData ? '354 go on\r\n' : line === 'QUIT' ? '221 bye\r\n' : '250 2.0.0 fine\r\n');
        // a connection for each message
        if (line === '.') socket.end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  const address = server.address();
  state.port = typeof address === 'object' && address ? address.port : 0;
  return state;
}

const senderTo = (port: number, rate?: RouteRate): Sender => {
  const [partner] = configSchema.parse({
    partners: [{ name: 'p', addresses: ['@p.example'], route: { host: '127.0.0.1', tls: 'none', port } }],
  }).partners;
  assert.ok(partner);
  return createSender({ route: partner.route, readSecret: () => '', name: 'own.example', rate });
};

async function pair(
  takeOver: { failures: number; time: number },
  rates: { first?: RouteRate | undefined; second?: RouteRate | undefined } = {},
) {
  const [first, second] = [await startServer(), await startServer()];
  const clock = { now: 0 };
  const [own, other] = [senderTo(first.port, rates.first), senderTo(second.port, rates.second)];
  const sender = withBackup(own, other, takeOver, () => clock.now);
  closing.push(() => sender.close());
  const send = async (to = ['a@p.example']) => {
    const octets = async function* () {
      yield Buffer.from('Subject: x\r\n\r\nbody\r\n');
    };
    const outcome = await sender.send({ envelope: { from: 'a@own.example', to }, octets });
    if ('done' in outcome) return outcome.facts?.backup === true ? 'backup' : 'first';
    return 'retry' in outcome ? 'retry' : 'suspend';
  };
  return { first, second, clock, send, sender };
}

describe('a backup route', () => {
  it('takes over after the failures, is left by a probe, and asks the first server no more than that', async () => {
    const { first, second, clock, send } = await pair({ failures: 3, time: 600_000 });
    assert.equal(await send(), 'first');
    first.stopped = true;
    assert.deepEqual([await send(), await send(), await send()], ['retry', 'retry', 'backup']);
    const asked = first.asked;
    for (let at = 0; at < 5; at++) assert.equal(await send(), 'backup');
    assert.equal(first.asked, asked, 'the first one is left alone');
    clock.now += 60_000;
    assert.equal(await send(), 'backup');
    assert.equal(first.asked, asked + 1, 'one probe');
    first.stopped = false;
    assert.equal(await send(), 'backup');
    clock.now += 60_000;
    assert.deepEqual([await send(), await send()], ['first', 'first']);
    assert.equal(second.taken, 8);
  });

  it('takes over after a time, and a success in between counts anew', async () => {
    const { first, clock, send } = await pair({ failures: 100, time: 1000 });
    first.stopped = true;
    assert.equal(await send(), 'retry');
    clock.now = 999;
    assert.equal(await send(), 'retry');
    first.stopped = false;
    assert.equal(await send(), 'first');
    first.stopped = true;
    clock.now = 1000;
    assert.equal(await send(), 'retry');
    clock.now = 1999;
    assert.equal(await send(), 'retry');
    clock.now = 2000;
    assert.equal(await send(), 'backup');
  });

  it('does not get in the same attempt what the first server may have', async () => {
    const { first, second, send } = await pair({ failures: 1, time: 600_000 });
    first.mute = true;
    assert.equal(await send(), 'retry');
    assert.deepEqual([first.taken, second.taken], [1, 0]);
    assert.equal(await send(), 'backup');
  });

  it('does not get what expired while the first server was tried', async () => {
    const { first, second, sender } = await pair({ failures: 1, time: 600_000 });
    first.stopped = true;
    const octets = async function* () {
      yield Buffer.from('Subject: x\r\n\r\nbody\r\n');
    };
    const envelope = { from: 'a@own.example', to: ['a@p.example'] };
    const held = (): Outcome | undefined => (first.asked > 0 ? { suspend: 'expired', facts: {} } : undefined);
    const outcome = await sender.send({ envelope, octets, held });
    assert.deepEqual(outcome, { suspend: 'expired', facts: { backup: true }, peer: undefined });
    assert.deepEqual([first.asked, second.asked], [1, 0]);
  });

  it('of two partners, one that is down costs the other nothing', async () => {
    const [sick, healthy] = [
      await pair({ failures: 1, time: 1000 }),
      await pair({ failures: 1, time: 1000 }),
    ];
    sick.first.stopped = true;
    sick.second.stopped = true;
    assert.deepEqual([await sick.send(), await healthy.send()], ['retry', 'first']);
    assert.equal(healthy.second.asked, 0);
  });
});

/** A rate that lets so many go, and then none for long. */
function rateOf(count: number): RouteRate {
  let left = count;
  const take = async () => (left-- > 0 ? 0 : 500_000);
  return { take, room: () => Math.max(0, left), rests: () => (left > 0 ? 0 : 500_000) };
}

describe('rates beside a backup route', () => {
  it('of the first one hold mail back while it is in use, and are no failure of it', async () => {
    const { second, send, sender } = await pair({ failures: 1, time: 600_000 }, { first: rateOf(1) });
    assert.deepEqual([await send(), await send(), await send()], ['first', 'retry', 'retry']);
    assert.equal(second.taken, 0);
    assert.equal(sender.pace?.room(), 0);
    assert.ok((sender.pace?.rests() ?? 0) > 0);
  });

  it('of the second one count when it is in use, and those of the first one do not', async () => {
    const rates = { first: rateOf(1), second: rateOf(2) };
    const { first, clock, send, sender } = await pair({ failures: 1, time: 600_000 }, rates);
    first.stopped = true;
    assert.equal(await send(), 'backup');
    assert.equal(sender.pace?.room(), 1);
    // the probe finds that the first one has no room: the mail need not wait for that
    clock.now += 60_000;
    assert.equal(await send(), 'backup');
    assert.equal(sender.pace?.room(), 0);
    assert.equal(await send(), 'retry');
  });
});

describe('a person who says that a server is back', () => {
  let queue: QueueRoom;
  useTestQueue(
    (opened) => {
      ({ queue } = opened);
    },
    { retry: { attempts: 20, firstDelay: '1h', maxDelay: '1h' } },
  );

  it('has the first route tried at once, though mail takes the backup, and at its rate', async () => {
    const rate = sharedBucket(queue, 'outbound:acme', { messages: 0.001, burst: 3_000_000 });
    const { first, second, sender } = await pair({ failures: 1, time: 600_000 }, { first: rate });
    const send = async (job: OutboundJob): Promise<Outcome> => {
      const octets = async function* () {
        yield Buffer.from('Subject: x\r\n\r\nbody\r\n');
      };
      const outcome = await sender.send({ envelope: job.envelope, octets });
      if ('done' in outcome) await queue.flow.sent(job, {});
      return outcome;
    };
    const submit = async () => {
      const writer = queue.intake.begin();
      void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
      const envelope = { from: 'us@own.example', to: ['edi@acme.example'] };
      const entry = {
        partner: 'acme',
        origin: { kind: 'command', detail: {} },
        envelope,
        messageId: null,
      } as const;
      return (await commitOne(queue, writer, entry)).id;
    };
    for (const server of [first, second]) server.stopped = true;
    const ids = [await submit(), await submit(), await submit()];
    const worker = await queue.queues.createWorker('outbound', send, {
      concurrency: 4,
      pace: () => sender.pace,
      hurried: () => sender.hurry?.(),
    });
    try {
      await until(async () => (await queue.queues.depth()).outbound.delayed > 0);
      first.stopped = false;
      for (const id of ids) await queue.flow.retry(id);
      const sent = async () => {
        const states = await Promise.all(ids.map(async (id) => (await queue.ledger.get(id))?.state));
        return states.filter((state) => state === 'sent').length;
      };
      await until(async () => (await sent()) === 2);
      // The failure was one of the three that the rate lets go.
      await until(async () => (await queue.redis.zcard('{sealpost}:parked:outbound:acme')) === 1);
      assert.deepEqual([first.taken, second.taken], [2, 0]);
    } finally {
      await worker.close(1000);
    }
  });
});

describe('the TLS of a backup', () => {
  const problems = (route: string, backup: string) => {
    const text = `partners:\n  - { name: acme, addresses: [edi@acme.example], encrypt: false, sign: none, route: ${route}, backup: { route: ${backup} } }\n`;
    return readConfig(text, 'test.yaml').problems.filter(({ message }) => /weaker TLS/.test(message)).length;
  };
  const pin = `pins: ['${'ab'.repeat(32)}']`;

  it('is refused if it is weaker than that of the route', () => {
    for (const [route, backup] of [
      ['{ host: a.example, tls: opportunistic }', '{ host: b.example, tls: none }'],
      ['{ host: a.example }', '{ host: b.example, tls: opportunistic }'],
      ['{ host: a.example }', '{ host: b.example, dane: off }'],
      ['{ host: a.example, ca: ca.pem }', '{ host: b.example }'],
      [`{ host: a.example, ${pin} }`, '{ host: b.example, ca: ca.pem }'],
      // What the partner publishes makes TLS necessary, so leaving it out is weaker too.
      ['{ host: a.example, tls: opportunistic }', '{ host: b.example, tls: opportunistic, dane: off }'],
      ['{ tls: opportunistic, mtaSts: true }', '{ tls: opportunistic }'],
      ['{ tls: opportunistic, mtaSts: true }', '{ host: b.example, tls: opportunistic }'],
      ['{ tls: opportunistic, mtaSts: true }', '{ tls: required }'],
      ['{ mtaSts: true }', '{ tls: required }'],
      ['{ host: a.example, tls: opportunistic, dane: required }', '{ host: b.example }'],
      // Whoever forges MX records chooses the name that the certificate is for.
      ['{ host: a.example }', '{ tls: required }'],
      ['{ host: a.example, tls: implicit, port: 465 }', '{ mtaSts: true }'],
    ] as const)
      assert.equal(problems(route, backup), 1, `${route} ${backup}`);
  });

  it('of each pair of policies, is the same or a stronger one', () => {
    const ranked: [number, string][] = [
      [0, 'tls: none'],
      [1, 'tls: opportunistic, dane: off'],
      [2, 'tls: opportunistic'],
      [3, 'tls: required, dane: off'],
      [4, 'tls: implicit'],
      [5, 'ca: ca.pem'],
      [5, 'dane: required'],
      [6, pin],
    ];
    for (const [strength, first] of ranked)
      for (const [other, second] of ranked) {
        const pair = [`{ host: a.example, ${first} }`, `{ host: b.example, ${second} }`] as const;
        assert.equal(problems(...pair), other < strength ? 1 : 0, pair.join(' '));
      }
  });

  it('is accepted if it is as strong or stronger', () => {
    for (const [route, backup] of [
      ['{ host: a.example }', '{ host: b.example, tls: implicit, port: 465 }'],
      ['{ host: a.example, tls: opportunistic }', '{ host: b.example }'],
      ['{ host: a.example }', `{ host: b.example, ${pin} }`],
      [`{ host: a.example, ${pin} }`, `{ host: b.example, ${pin} }`],
      ['{ tls: opportunistic, mtaSts: true }', '{ tls: opportunistic, mtaSts: true }'],
      ['{ mtaSts: true }', '{ host: b.example }'],
      ['{ mtaSts: true }', '{ dane: required }'],
      ['{ host: a.example }', '{ dane: required }'],
      ['{ host: a.example }', '{ ca: ca.pem }'],
      ['{ host: a.example, tls: opportunistic }', '{ tls: opportunistic }'],
      ['{ tls: required }', '{ host: b.example }'],
      ['{ host: a.example }', '{ host: b.example, tls: opportunistic, dane: required }'],
    ] as const)
      assert.equal(problems(route, backup), 0, `${route} ${backup}`);
  });
});
