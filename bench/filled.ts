/**
 * A ledger with many records: two go the daemon's own way, and the others are made in the server, alike but for what
 * tells them apart.
 */
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/log.ts';
import { type MessageRecord, openQueue, type QueueRoom } from '../src/queue/index.ts';
import { records as luaRecords } from '../src/queue/lua.ts';
import { type PrivateServer, startPrivateServer } from '../src/redis/private-server.ts';
import { run, script } from '../src/redis/scripts.ts';
import { progress } from './table.ts';

/** One in so many is suspended. */
const suspendedEvery = 1000;

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
export const digestOf = (at: number) => {
  const one = sha1(`digest ${at}`);
  return one + one.slice(0, 24);
};
export const idOf = (at: number) => `i${sha1(`id ${at}`).slice(0, 31)}`;
export const messageIdOf = (at: number) => `<${sha1(`mid ${at}`).slice(0, 24)}@partner.example>`;

/** One message the daemon's own way: accepted and suspended, or decoded and handed off. Returns its record. */
async function one(
  { intake, flow, ledger }: Pick<QueueRoom, 'intake' | 'flow' | 'ledger'>,
  isSuspended: boolean,
): Promise<MessageRecord> {
  const writer = intake.begin();
  await writer.write(randomBytes(64));
  const messageId = `<${randomBytes(12).toString('hex')}@partner.example>`;
  const detail = { client: '192.0.2.17', helo: 'mail.partner.example', protocol: 'ESMTPS' };
  const facts = {
    mailbox: 'mailbox0',
    origin: { kind: 'smtp' as const, detail },
    envelope: { from: 'edi@partner.example', to: ['orders@own.example'] },
    messageId,
  };
  const [accepted] = await intake.commit(writer, [facts]);
  const id = accepted?.id ?? '';
  const octets = await flow.originalOf(id);
  const record = await ledger.get(id);
  if (octets === null || record === null) throw new Error('nothing was accepted');
  const { receivedAt } = record;
  const job = { ...facts, id, receivedAt, direction: 'inbound' as const, octets };
  if (isSuspended)
    await flow.suspend('inbound', job, 'decrypt-no-key', { message: 'there is no key for it' });
  else
    await flow.handedOffAtOnce(job, {
      ...{ destination: 'queue', partner: 'partner0', partnerBy: 'signature' },
      facts: { destination: 'queue', queue: 'erp' },
      decoded: {
        ...{ status: 'ok', encrypted: true, signature: 'valid', layers: ['enveloped-data', 'signed-data'] },
        ...{ decryptionThumbprint: sha1('a'), signatureThumbprint: sha1('b'), partner: 'acme' },
      },
    });
  const made = await ledger.get(id);
  if (made === null) throw new Error('the record is gone');
  return made;
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
  local fields, facts = {}, ''
  for name, value in pairs(template) do
    if name == 'r' then
      value = string.gsub(value, string.gsub(ARGV[6 + kind], '%p', '%%%0'), mid)
      value = string.gsub(value, ARGV[8 + kind], digest)
      value = string.gsub(value, 'edi@partner', 'edi' .. at % 1000 .. '@partner')
      facts = value
    elseif name == 'a' or name == 'u' then value = now
    elseif name == 'b' then value = 'mailbox' .. at % 20
    elseif name == 'p' then value = 'partner' .. at % 50 end
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  rcall('HSET', record(id), unpack(fields))
  rcall('ZADD', P .. ':ix:all', now, id)
  rcall('ZADD', id_index(id), 0, id)
  rcall('ZADD', P .. ':ix:s:' .. template.s, now, id)
  rcall('ZADD', P .. ':ix:b:mailbox' .. at % 20, now, id)
  if template.p then rcall('ZADD', P .. ':ix:p:partner' .. at % 50, now, id) end
  if template.x then rcall('ZADD', P .. ':ix:x:' .. template.x, now, id) end
  local bucket, member = digest_index('i', redis.sha1hex(mid), id)
  rcall('ZADD', bucket, 0, member)
  bucket, member = digest_index('h', digest, id)
  rcall('ZADD', bucket, 0, member)
  each_address(cjson.decode(facts), id, function(set, entry) rcall('ZADD', set, now, entry) end)
end
`,
);

/**
 * @param records one each millisecond until now
 * @returns octets of memory of each, and when the first one was received
 */
export async function fillLedger(
  queue: Pick<QueueRoom, 'redis' | 'prefix' | 'intake' | 'flow' | 'ledger'>,
  records: number,
): Promise<{ memory: number; start: number }> {
  const { redis, prefix } = queue;
  const start = Date.now() - records;
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
  const [first, second] = [await one(queue, true), await one(queue, false)];
  const templates = [
    first.id,
    second.id,
    first.messageId ?? '',
    second.messageId ?? '',
    first.sha256,
    second.sha256,
  ];
  const before = await used();
  for (let at = 2; at < records; at += 2000) {
    const last = Math.min(records, at + 2000) - 1;
    await run(redis, prefix, clone, [at, last, start, suspendedEvery, ...templates], 'bench');
    progress(`${at} of ${records}`);
  }
  progress('');
  return { memory: ((await used()) - before) / records, start };
}

/** Subjects of the newest ones: more than a search opens for a page. */
async function keepSubjects(
  { redis, prefix, seal }: QueueRoom,
  records: number,
  most: number,
): Promise<void> {
  for (let at = Math.max(2, records - most); at < records; at += 1000) {
    const pipe = redis.pipeline();
    for (let each = at; each < Math.min(at + 1000, records); each++) {
      const id = idOf(each);
      const subject = seal(`subject:${id}`, `Order ${each} of the first quarter`);
      pipe.hset(`${prefix}:m:${id}`, 't', subject.toString('base64'));
    }
    await pipe.exec();
  }
}

/** Settings for a server that is only read: no fsync, and nothing is written to its folder. */
export const readOnly = { appendonly: 'no', save: '""' };

/**
 * A private server of a data folder with that many records. What was made once can be kept, since a million takes
 * minutes.
 *
 * @param kept folder in which the records and the key are kept, or from which they are taken
 */
export async function filledServer(
  dataDir: string,
  records: number,
  kept?: string,
): Promise<{ server: PrivateServer; redis: Record<string, string>; memory: number }> {
  mkdirSync(join(dataDir, 'redis'), { recursive: true, mode: 0o700 });
  const files = (['redis/dump.rdb', 'spool.key'] as const).map((file) => ({
    there: join(dataDir, file),
    away: join(kept ?? dataDir, `${records}.${file.replace('/', '.')}`),
  }));
  const isKept = files.every(({ away }) => existsSync(away));
  if (isKept) for (const { there, away } of files) copyFileSync(away, there);
  const server = await startPrivateServer(dataDir, { settings: readOnly, startTimeout: 300_000 });
  const redis = { url: server.url, durability: 'relaxed', commandTimeout: '10m' };
  const queue = await openQueue(configSchema.parse({ dataDir, redis }), {
    role: 'bench',
    log: createLog('silent', 'bench'),
  });
  try {
    // the indices are whole, so the sweep need not look
    for (const mark of ['ids', 'addresses']) await queue.redis.set(`${queue.prefix}:${mark}`, '2');
    if (!isKept) {
      await fillLedger(queue, records);
      await keepSubjects(queue, records, 20_000);
      if (kept !== undefined) {
        mkdirSync(kept, { recursive: true });
        await queue.redis.save();
        for (const { there, away } of files) copyFileSync(there, away);
      }
    }
    const used = /^used_memory:(\d+)/m.exec(await queue.redis.info('memory'))?.[1];
    return { server, redis, memory: Number(used) / records };
  } finally {
    await queue.close();
  }
}
