/**
 * The ledger with many records on a real redis-server: memory of a record, and the time to list a page, to find one, to
 * count. Records are written by the daemon's own scripts, pipelined; for speed without an fsync for each.
 *
 *   node bench/ledger.ts [--records 1000000]
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { eventLine } from '../src/queue/ledger.ts';
import { run } from '../src/queue/lua.ts';
import { startPrivateServer } from '../src/queue/private-server.ts';
import { scripts } from '../src/queue/scripts.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({ options: { records: { type: 'string', default: '1000000' } } });
const records = Number(values.records);
const suspendedEvery = 1000;
const dataDir = mkdtempSync(join(tmpdir(), 'sealpost-ledger-'));
const server = await startPrivateServer(dataDir, { settings: { appendonly: 'no', save: '""' } });
const config = configSchema.parse({
  dataDir,
  redis: { url: server.url, durability: 'relaxed', commandTimeout: '60s' },
});
const queue = await openQueue(config, { role: 'bench', log: createLog('silent', 'bench') });
const { redis, prefix, ledger } = queue;

const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const start = Date.now() - records;
const idOf = (at: number) => `i${hex(`id ${at}`).slice(0, 31)}`;
const messageIdOf = (at: number) => `<${hex(`mid ${at}`).slice(0, 24)}@partner.example>`;
const sealed = randomBytes(64);

/** The way of one message: accepted, decoded, handed off; or suspended. */
function way(at: number): Promise<unknown>[] {
  const id = idOf(at);
  const now = start + at;
  const mailbox = `mailbox${at % 20}`;
  const octets = hex(`octets ${at}`).slice(0, 32);
  const sha256 = hex(`digest ${at}`);
  const envelope = { from: 'edi@partner.example', to: ['orders@own.example'] };
  const origin = {
    kind: 'smtp',
    detail: { client: '192.0.2.17', helo: 'mail.partner.example', protocol: 'ESMTPS' },
  };
  const facts = JSON.stringify({
    direction: 'inbound',
    origin,
    envelope,
    messageId: messageIdOf(at),
    octets: 10_000,
    sha256,
  });
  const received = eventLine({ type: 'received', at: now, facts: { kind: 'smtp', ...origin.detail } });
  const step = (script: (typeof scripts)[keyof typeof scripts], args: (string | number | Buffer)[]) =>
    run(redis, prefix, script, args, 'bench');
  const steps = [
    step(
      scripts.accept,
      [now, 0, 'inbound', 'received', 'b', 'received', 1e9, 1e15, 'decoded', 1e9, 1e15]
        .concat([id, mailbox, facts, received, received] as never[])
        .concat([`i:${octets}`, sealed, '{}', messageIdOf(at), sha256, 10_000] as never[]),
    ),
  ];
  if (at % suspendedEvery === 0) {
    const event = eventLine({
      type: 'suspended',
      at: now,
      facts: { reason: 'decrypt-no-key', work: 'inbound' },
    });
    steps.push(step(scripts.suspend, [now, id, event, 'decrypt-no-key', 'inbound', 'inbound', '{}']));
    return steps;
  }
  const decoded = eventLine({
    type: 'decoded',
    at: now,
    facts: {
      status: 'ok',
      encrypted: true,
      signature: 'trusted',
      layers: ['enveloped', 'signed'],
      decryptionThumbprint: hex('a').slice(0, 40),
      signatureThumbprint: hex('b').slice(0, 40),
      partner: 'acme',
    },
  });
  const handed = eventLine({
    type: 'handed-off',
    at: now,
    facts: { destination: 'directory', folder: `20261123T000000000Z-${id}` },
  });
  const delivered = eventLine({ type: 'delivered', at: now, facts: {} });
  const [content, result] = [hex(`c ${at}`).slice(0, 32), hex(`r ${at}`).slice(0, 32)];
  steps.push(
    step(scripts.decoded, [
      now,
      id,
      decoded,
      `partner${at % 50}`,
      `i:${content}`,
      sealed,
      `i:${result}`,
      sealed,
      '{}',
      100,
      'directory',
      '{}',
    ]),
    step(scripts.handedOff, [now, id, 'directory', handed, delivered, 0, 0]),
  );
  return steps;
}

async function timed(work: () => Promise<unknown>, rounds = 30): Promise<string> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    await work();
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  return `${figure(times[Math.floor(rounds / 2)] ?? 0)} (${figure(times.at(-1) ?? 0)})`;
}

try {
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
  await Promise.all(way(0));
  const before = await used();
  for (let at = 1; at < records; at += 500) {
    await Promise.all(
      Array.from({ length: Math.min(500, records - at) }, (_, each) => way(at + each)).flat(),
    );
    // The jobs that nobody takes are no part of the ledger.
    if (at % 5000 === 1) {
      await redis.unlink(`${prefix}:inbound:wait`, `${prefix}:handoff:wait`);
      progress(`${at} of ${records}`);
    }
    await redis.unlink(
      ...Array.from({ length: 500 }, (_, each) => [
        `${prefix}:inbound:${idOf(at + each)}`,
        `${prefix}:handoff:${idOf(at + each)}.directory`,
      ]).flat(),
    );
  }
  await redis.unlink(`${prefix}:inbound:wait`, `${prefix}:handoff:wait`);
  const memory = ((await used()) - before) / records;
  progress('');
  const any = () => Math.floor(Math.random() * records);
  const middle = start + records / 2;
  const suspended = async () => {
    let count = 0;
    for await (const _ of ledger.ids({ state: 'suspended', reason: 'decrypt-no-key', mailbox: 'mailbox0' }))
      count += 1;
    return count;
  };
  printTable(
    `Ledger with ${records} records, ${figure(memory)} octets of memory each`,
    ['what', 'ms, median (worst)'],
    [
      ['first page of 50', await timed(() => ledger.list({}))],
      ['page of 50 in the middle', await timed(() => ledger.list({ until: middle }))],
      ['page of 50 of a state', await timed(() => ledger.list({ state: 'delivered', until: middle }))],
      [
        'page of 50 of a partner in a mailbox',
        await timed(() => ledger.list({ partner: 'partner7', mailbox: 'mailbox7' })),
      ],
      ['one by id', await timed(() => ledger.get(idOf(any())))],
      ['one by Message-ID', await timed(() => ledger.list({ messageId: messageIdOf(any()) }))],
      ['one by SHA-256', await timed(() => ledger.list({ sha256: hex(`digest ${any()}`) }))],
      ['count by state', await timed(() => ledger.count())],
      ['ids of the suspended by reason and mailbox', await timed(suspended)],
    ],
  );
} finally {
  await queue.close();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
