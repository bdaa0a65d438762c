/**
 * Whether the time of a failed AUTH tells an unknown user from a wrong password: many tries of each kind, in any order,
 * over one listener for submission, and of the check alone.
 *
 *   node bench/login-times.ts --runs 2000
 */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';
import { makeCredential } from '../src/client/index.ts';
import { openTestQueue } from '../test/support/queue.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { RawClient } from '../test/support/smtp.ts';
import { plain, startSubmission } from '../test/support/submission.ts';
import { makeTlsFiles } from '../test/support/tls.ts';
import { distribution, overlap, ranked, shuffled } from './samples.ts';
import { printTable } from './table.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '2000' } } });
const runs = Number(values.runs);
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const redis = await startTestRedis();
const queue = await openTestQueue(redis);
const tls = await makeTlsFiles();
const door = await startSubmission({ queue, dataDir: redis.dataDir }, tls);
const token = await door.client('erp');
/** Names of one length, and passwords of one length: what differs is what is known of them. */
const made: Record<string, () => [user: string, password: string]> = {
  'unknown user': () => ['nob', makeCredential().text],
  'known user, unknown token': () => ['erp', makeCredential().text],
  'known user, wrong secret of its token': () => ['erp', ofId(token)],
  'unknown user, with a token of another': () => ['nob', token],
};

/** A token of the same id with another secret, which its checksum fits. */
function ofId(known: string): string {
  const { id, text } = makeCredential();
  const body = text.replace(id, known.slice(9, 19)).slice(0, -6);
  let checksum = '';
  for (let left = crc32(body); checksum.length < 6; left = Math.floor(left / 62))
    checksum = digits.charAt(left % 62) + checksum;
  return body + checksum;
}

const kinds = Object.keys(made);

/**
 * One try of each kind, in any order. All are made before the first is timed, because what was just done warms caches,
 * and each string anew of its octets, because one that was put together or used before is read in another time.
 */
function attempts(): [kind: string, user: string, password: string][] {
  return shuffled(
    kinds.map((kind) => {
      const [user = '', password = ''] = made[kind]?.() ?? [];
      return [kind, Buffer.from(user).toString(), Buffer.from(password).toString()];
    }),
  );
}

const samples = () => new Map<string, number[]>(kinds.map((kind) => [kind, []]));

async function overNetwork(): Promise<Map<string, number[]>> {
  const times = samples();
  for (let round = -10; round * 2 < runs; round++) {
    // Each connection from an address of its own, because an address may fail ten times.
    const number = round + 10;
    const localAddress = `127.10.${Math.floor(number / 250) % 250}.${1 + (number % 250)}`;
    const plainSocket = connectTcp({ host: '127.0.0.1', port: door.ports.implicit, localAddress });
    const socket = connect({ socket: plainSocket, servername: 'localhost', ca: tls.pem });
    const client = new RawClient(socket);
    await client.reply();
    await client.command('EHLO client.example.org');
    for (const [kind, user, password] of [...attempts(), ...attempts()]) {
      const command = plain(user, password);
      const start = performance.now();
      const reply = await client.command(command);
      const time = performance.now() - start;
      if (!reply.startsWith('535 5.7.8 ')) throw new Error(`${kind}: ${reply}`);
      if (round >= 0) times.get(kind)?.push(time);
    }
    client.close();
    await once(socket, 'close');
  }
  return times;
}

function alone(): Map<string, number[]> {
  const times = samples();
  for (let round = -500; round < runs * 10; round++)
    for (const [kind, user, password] of attempts()) {
      const start = performance.now();
      try {
        door.door.login(user, password);
      } catch {
        if (round >= 0) times.get(kind)?.push((performance.now() - start) * 1000);
      }
    }
  return times;
}

function print(title: string, unit: string, times: ReadonlyMap<string, number[]>): void {
  const [reference = []] = times.values();
  const rows = [...times].map(([name, taken]) => {
    const { p5, median, p95 } = distribution(taken);
    const { chance, deviations } = ranked(reference, taken);
    const alike = [overlap(reference, taken), chance].map((value) => value.toFixed(3));
    return [name, ...[p5, median, p95].map((value) => value.toFixed(3)), ...alike, deviations.toFixed(1)];
  });
  const [mixed, at] = [shuffled(reference), Math.floor(reference.length / 2)];
  const { chance, deviations } = ranked(mixed.slice(0, at), mixed.slice(at));
  const halves = [overlap(mixed.slice(0, at), mixed.slice(at)), chance].map((value) => value.toFixed(3));
  rows.push(['one half of the first kind with the other', '', '', '', ...halves, deviations.toFixed(1)]);
  const head = ['kind', `5 % (${unit})`, 'median', '95 %', 'overlap', 'later than the first', 'deviations'];
  printTable(title, head, rows);
}

try {
  print(`AUTH over TLS, ${runs} of each kind`, 'ms', await overNetwork());
  print(`the check alone, ${runs * 10} of each kind`, 'µs', alone());
} finally {
  await door.close();
  await queue.close();
  await redis.stop();
  tls.remove();
}
