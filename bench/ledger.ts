/**
 * The ledger with many records on a real redis-server: memory of a record, and the time to list a page, to find one, to
 * count. Records are written by the daemon's own scripts, pipelined; for speed without an fsync for each.
 *
 *   node bench/ledger.ts [--records 1000000]
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { eventLine } from '../src/queue/ledger.ts';
import { records as luaRecords } from '../src/queue/lua.ts';
import { scripts } from '../src/queue/steps.ts';
import { startPrivateServer } from '../src/redis/private-server.ts';
import { type Octets, run, runWithOctets, script } from '../src/redis/scripts.ts';
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

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const digestOf = (at: number) => {
  const one = sha1(`digest ${at}`);
  return one + one.slice(0, 24);
};
const start = Date.now() - records;
const idOf = (at: number) => `i${sha1(`id ${at}`).slice(0, 31)}`;
const messageIdOf = (at: number) => `<${sha1(`mid ${at}`).slice(0, 24)}@partner.example>`;
const sealed = randomBytes(64);

/** The way of one message: accepted, decoded, handed off; or suspended. */
function way(at: number): Promise<unknown>[] {
  const id = idOf(at);
  const now = start + at;
  const mailbox = `mailbox${at % 20}`;
  const octets = hex(`octets ${at}`).slice(0, 32);
  const sha256 = digestOf(at);
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
  const step = (
    script: (typeof scripts)[keyof typeof scripts],
    args: (string | number | Buffer)[],
    values: Octets = [],
  ) => runWithOctets(redis, prefix, 'alone' in script ? script.alone : script, args, values, 'bench');
  const steps = [
    step(
      scripts.accept,
      [now, 'inbound', 'received', 'b', 'received', 1e9, 1e15, 'decoded', 1e9, 1e15, now, 1]
        .concat([id, mailbox, facts, received, received] as never[])
        .concat([`i:${octets}`, '{}', messageIdOf(at), sha256, 10_000] as never[]),
      [[octets, sealed]],
    ),
  ];
  if (at % suspendedEvery === 0) {
    const event = eventLine({
      type: 'suspended',
      at: now,
      facts: { reason: 'decrypt-no-key', work: 'inbound' },
    });
    const args = [now, id, event, 'decrypt-no-key', 'inbound', 'inbound', '{}', '', '', `i:${octets}`];
    steps.push(step(scripts.suspend, args));
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
    step(
      scripts.decoded,
      [
        now,
        id,
        decoded,
        `partner${at % 50}`,
        `i:${content}`,
        `i:${result}`,
        '{}',
        100,
        `i:${octets}`,
        0,
      ].concat(['directory', '{}', 'route']),
      [
        [content, sealed],
        [result, sealed],
      ],
    ),
    step(scripts.handedOff, [now, id, 'directory', handed, delivered, 0, 0, `i:${content}`, handed]),
  );
  return steps;
}

/** Records of the numbers from ARGV[1] to ARGV[2], in every index. */
const clone = script(
  luaRecords,
  `
local templates = {}
for kind = 1, 2 do
  local fields = rcall('HGETALL', record(ARGV[4 + kind]))
  local template = {}
  for at = 1, #fields, 2 do template[fields[at]] = fields[at + 1] end
  templates[kind] = template
end
for at = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local kind = 2
  if at % tonumber(ARGV[4]) == 0 then kind = 1 end
  local template = templates[kind]
  local id = 'i' .. string.sub(redis.sha1hex('id ' .. at), 1, 31)
  local mid = '<' .. string.sub(redis.sha1hex('mid ' .. at), 1, 24) .. '@partner.example>'
  local one = redis.sha1hex('digest ' .. at)
  local digest = one .. string.sub(one, 1, 24)
  local now = string.format('%.0f', tonumber(ARGV[3]) + at)
  local fields = {}
  for name, value in pairs(template) do
    if name == 'r' then
      value = string.gsub(value, string.gsub(ARGV[6 + kind], '%p', '%%%0'), mid)
      value = string.gsub(value, ARGV[8 + kind], digest)
    elseif name == 'a' or name == 'u' then value = now
    elseif name == 'b' then value = 'mailbox' .. at % 20
    elseif name == 'p' then value = 'partner' .. at % 50 end
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  rcall('HSET', record(id), unpack(fields))
  rcall('ZADD', P .. ':ix:all', now, id)
  rcall('ZADD', P .. ':ix:s:' .. template.s, now, id)
  rcall('ZADD', P .. ':ix:b:mailbox' .. at % 20, now, id)
  if template.p then rcall('ZADD', P .. ':ix:p:partner' .. at % 50, now, id) end
  if template.x then rcall('ZADD', P .. ':ix:x:' .. template.x, now, id) end
  local bucket, member = digest_index('i', redis.sha1hex(mid), id)
  rcall('ZADD', bucket, 0, member)
  bucket, member = digest_index('h', digest, id)
  rcall('ZADD', bucket, 0, member)
end
`,
);

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

/** The program itself, its start included: seconds by the clock and of processor time. */
function command(...args: string[]): string[] {
  const file = join(dataDir, 'sealpost.yaml');
  writeFileSync(
    file,
    `dataDir: ${dataDir}\nredis: { url: "${server.url}", durability: relaxed, commandTimeout: 60s }\n`,
  );
  const program = resolve(import.meta.dirname, '../bin/sealpost');
  const timed = spawnSync(
    'bash',
    ['-c', 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null', '-', program, ...args, '--config', file],
    {
      encoding: 'utf8',
    },
  );
  const [elapsed = 0, user = 0, system = 0] = (timed.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  if (timed.status !== 0) throw new Error(`${args.join(' ')}: ${timed.stderr}`);
  return [`sealpost ${args.join(' ')}`, figure(elapsed), figure(user + system)];
}

try {
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
  // The first ones go the daemon's own way; the others are made in the server, alike but for what tells them apart.
  await Promise.all([...way(0), ...way(1)]);
  const before = await used();
  for (let at = 2; at < records; at += 2000) {
    const args = [idOf(0), idOf(1), messageIdOf(0), messageIdOf(1), digestOf(0), digestOf(1)];
    const last = Math.min(records, at + 2000) - 1;
    await run(redis, prefix, clone, [at, last, start, suspendedEvery, ...args], 'bench');
    progress(`${at} of ${records}`);
  }
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
      ['one by SHA-256', await timed(() => ledger.list({ sha256: digestOf(any()) }))],
      ['count by state', await timed(() => ledger.count())],
      ['ids of the suspended by reason and mailbox', await timed(suspended)],
    ],
  );
  command('messages', 'list');
  printTable(
    'The program, its start included',
    ['command', 'seconds', 'of processor time'],
    [
      command('messages', 'list'),
      command('messages', 'list', '--json'),
      command('messages', 'show', idOf(any())),
      command('messages', 'list', '--json', '--limit', '50000'),
    ],
  );
} finally {
  await queue.close();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
