/**
 * What the queue itself costs: messages of 14 KB are accepted, taken, and recorded as handed off to a queue on the same
 * Redis, without SMTP and without decoding. Processor time of this process and of Redis, a message, for each of the two
 * halves. It says little about rates, but holds still on a busy machine.
 *
 *   node bench/steps.ts [--messages 3000] [--octets 14000] [--document 20000] [--places 64] [--sessions 20]
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { openTestQueue } from '../test/support/queue.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { cpuOf } from './raw.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '3000' },
    octets: { type: 'string', default: '14000' },
    document: { type: 'string', default: '20000' },
    places: { type: 'string', default: '64' },
    sessions: { type: 'string', default: '20' },
    commands: { type: 'boolean', default: false },
  },
});
const messages = Number(values.messages);
const document = randomBytes(Number(values.document) / 2).toString('hex');
const server = await startTestRedis();
const queue = await openTestQueue(server, {
  mailboxes: [
    {
      name: 'bench',
      addresses: ['to@bench.example'],
      duplicates: 'deliver',
      destinations: [{ type: 'directory', path: '/tmp' }],
    },
  ],
  limits: { queue: { inbound: { depth: 1_000_000, octets: '10GiB' } } },
});
const { intake, flow, queues, redis } = queue;

async function accept(count: number): Promise<void> {
  let left = count;
  const session = async () => {
    while (left > 0) {
      left -= 1;
      const writer = intake.begin();
      void writer.write(randomBytes(Number(values.octets)));
      await intake.commit(writer, [
        {
          mailbox: 'bench',
          origin: { kind: 'smtp', detail: { remote: '127.0.0.1', helo: 'bench.example', tls: '' } },
          envelope: { from: 'from@bench.example', to: ['to@bench.example'] },
          messageId: `<${left}@bench.example>`,
        },
      ]);
    }
  };
  await Promise.all(Array.from({ length: Number(values.sessions) }, session));
}

async function handOff(count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = count;
  const worker = await queues.createWorker(
    'inbound',
    async (job, { end }) => {
      await flow.fetch(job.id, [job.octets], end);
      const id = `${job.id}.queue`;
      await flow.handedOffAtOnce(
        job,
        {
          destination: 'queue',
          facts: { queue: 'bench', job: id },
          decoded: { status: 'ok', encrypted: true, signature: 'none', layers: ['enveloped-data'] },
          partner: null,
          partnerBy: null,
          job: {
            prefix: queue.prefix,
            queue: 'bench',
            name: 'message',
            id,
            data: Buffer.from(document),
            options: { jobId: id },
          },
        },
        end,
      );
      left -= 1;
      if (left === 0) resolve();
      return { done: true };
    },
    { concurrency: Number(values.places), local: true, suspectsAlone: true },
  );
  await promise;
  await worker.close(1000);
}

interface Cost {
  own: number;
  redis: number;
  scripts: number;
}

async function costOf(work: (count: number) => Promise<void>, count: number): Promise<Cost> {
  await redis.config('RESETSTAT');
  const [own, theirs] = [process.cpuUsage(), cpuOf(server.pid)];
  await work(count);
  const { user, system } = process.cpuUsage(own);
  const used = (cpuOf(server.pid) - theirs) * 1000;
  const text = await redis.info('commandstats');
  const scripts = Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(text)?.[1] ?? 0);
  if (values.commands) {
    const all = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)];
    const rows = all.map(([, name = '', calls, usec]) => [
      name,
      figure(Number(calls) / count),
      figure(Number(usec) / count),
    ]);
    printTable(
      'Commands',
      ['command', 'calls a message', 'us a message'],
      rows.sort((a, b) => Number(b[2]) - Number(a[2])),
    );
  }
  return { own: (user + system) / count, redis: used / count, scripts: scripts / count };
}

try {
  const warm = Math.ceil(messages / 4);
  await accept(warm);
  await handOff(warm);
  progress('accepting');
  const accepted = await costOf(accept, messages);
  progress('handing off');
  const ended = await costOf(handOff, messages);
  const row = (name: string, { own, redis: theirs, scripts }: Cost) => [
    name,
    figure(own),
    figure(theirs),
    figure(scripts),
  ];
  printTable(
    `Steps of ${messages} messages`,
    ['half', 'this process, us', 'Redis, us', 'scripts'],
    [row('accepted', accepted), row('handed off', ended)],
  );
} finally {
  progress('');
  await queue.close();
  await server.stop();
}
process.exit(0);
