/**
 * Messages a second into the queue, both ways durable: over HTTP (raw content with a token, connections kept) and over
 * SMTP in the same run, by as many connections. Beside the rate, the processor time of the role for each message, which
 * a busy machine does not change. And the memory of the role during uploads of 149 MiB, some at a time.
 *
 *   node bench/submit.ts [--messages 2000] [--connections 16] [--size 10240] [--uploads 0] [--at-once 4,20]
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { startApi, type TestApi } from '../test/support/api.ts';
import { peakMegabytes } from '../test/support/daemon.ts';
import { RawClient } from '../test/support/smtp.ts';
import { makeWorld } from '../test/support/world.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '16' },
    size: { type: 'string', default: '10240' },
    uploads: { type: 'string', default: '0' },
    'at-once': { type: 'string', default: '4,20' },
  },
});
const [messages, connections, size, uploads] = [
  Number(values.messages),
  Number(values.connections),
  Number(values.size),
  Number(values.uploads),
];
const lines = Math.ceil(size / 64);
const content = Buffer.from(`${'x'.repeat(62)}\r\n`.repeat(lines)).subarray(0, size);

const world = makeWorld();
const api = await startApi(world, {
  args: ['--only', 'api,receive'],
  config: { log: { level: 'info' } },
  api: { maxConnections: 500 },
});
const token = await api.token('bench', '--scope', 'send', '--partner', 'acme', '--sender', '*');
const agent = new Agent({ keepAlive: true, maxSockets: connections });

/** One request; resolves with its status. */
async function post(body: Buffer, times = 1, through = agent): Promise<number> {
  const sent = request({
    ...{ agent: through, port: api.port, method: 'POST', path: '/v1/messages?partner=acme&filename=a.bin' },
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      'content-length': body.length * times,
    },
  });
  for (let each = 0; each < times; each++) if (!sent.write(body)) await once(sent, 'drain');
  sent.end();
  const [answer] = await once(sent, 'response');
  answer.resume();
  await once(answer, 'end');
  return answer.statusCode;
}

async function overSmtp(count: number): Promise<void> {
  const client = await RawClient.connect(api.daemon.smtpPort);
  await client.hello();
  for (let each = 0; each < count; each++) {
    for (const line of ['MAIL FROM:<edi@partner.example>', 'RCPT TO:<orders@own.example>', 'DATA'])
      await client.command(line);
    // Each is another message.
    client.write(`Subject: ${each} ${Math.random()}\r\n\r\n`);
    client.write(content);
    client.write('\r\n.\r\n');
    const reply = await client.reply();
    if (!reply.startsWith('250')) throw new Error(reply);
  }
  client.close();
}

async function overHttp(count: number): Promise<void> {
  for (let each = 0; each < count; each++) {
    const status = await post(content);
    if (status !== 202) throw new Error(`status ${status}`);
  }
}

/** Seconds of processor time that a process has used (proc(5), stat: utime and stime in ticks). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measure(role: string, send: (count: number) => Promise<void>) {
  const each = Math.ceil(messages / connections);
  const [pid, before, started] = [
    api.daemon.pidOf(role),
    cpuSeconds(api.daemon.pidOf(role)),
    performance.now(),
  ];
  await Promise.all(Array.from({ length: connections }, () => send(each)));
  const seconds = (performance.now() - started) / 1000;
  const total = each * connections;
  return { rate: total / seconds, cpu: ((cpuSeconds(pid) - before) / total) * 1000 };
}

/** Resident memory of the role in MB, now and at most so far. */
function memoryOf({ daemon }: TestApi): { now: number; most: number } {
  const pid = daemon.pidOf('api');
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return { now: Number(kilobytes) / 1024, most: peakMegabytes(pid) };
}

/** Uploads all of them, so many at a time: the memory before, and after each fifth of them. */
async function uploadAll(atOnce: number): Promise<string[]> {
  const through = new Agent({ maxSockets: atOnce });
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  const [cpuBefore, began, seen] = [cpuSeconds(api.daemon.pidOf('api')), performance.now(), [memoryOf(api)]];
  let [begun, done] = [0, 0];
  const one = async () => {
    while (begun < uploads) {
      begun += 1;
      const status = await post(chunk, 149, through);
      if (status !== 202) throw new Error(`status ${status}`);
      done += 1;
      if (done % Math.ceil(uploads / 5) === 0) seen.push(memoryOf(api));
      progress(`${done} of ${uploads} uploads, ${atOnce} at a time`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  through.destroy();
  const [first] = seen;
  const cpu = (cpuSeconds(api.daemon.pidOf('api')) - cpuBefore) / uploads;
  return [
    `${atOnce}`,
    figure(first?.now ?? 0),
    seen
      .slice(1)
      .map(({ now }) => figure(now))
      .join(', '),
    figure(memoryOf(api).most),
    figure(cpu),
    figure((performance.now() - began) / 1000),
  ];
}

try {
  await measure('api', overHttp);
  await measure('receive', overSmtp);
  const rows: string[][] = [];
  for (let round = 0; round < 3; round++) {
    const [http, smtp] = [await measure('api', overHttp), await measure('receive', overSmtp)];
    rows.push([
      ...[figure(http.rate), figure(smtp.rate), (http.rate / smtp.rate).toFixed(2)],
      ...[http.cpu.toFixed(2), smtp.cpu.toFixed(2)],
    ]);
  }
  printTable(
    `${size} octets, ${connections} connections`,
    ['HTTP, messages/s', 'SMTP, messages/s', 'HTTP to SMTP', 'ms a message, api', 'ms, receive'],
    rows,
  );
  const uploaded: string[][] = [];
  if (uploads > 0)
    for (const atOnce of values['at-once'].split(',')) uploaded.push(await uploadAll(Number(atOnce)));
  if (uploads > 0)
    printTable(
      `${uploads} uploads of 149 MiB: resident memory of api in MB`,
      ['at a time', 'before', 'after each fifth of them', 'most so far', 's of the role each', 's in all'],
      uploaded,
    );
  console.log(`\nload ${loadavg()[0]?.toFixed(1)}`);
} finally {
  agent.destroy();
  await api.daemon.stop();
  world.remove();
}
