/**
 * What messages cost whose route is down: connections that are tried, and processor time of this process and of Redis
 * from the start of the worker until all messages are put aside.
 *
 *   node bench/route-down.ts [--messages 500]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openTestQueue } from '../test/support/queue.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { refusedMail, refusedWebhook } from '../test/support/refused.ts';
import { cpuOf, keyRate } from './raw.ts';
import { figure, printTable } from './table.ts';

const { values } = parseArgs({ options: { messages: { type: 'string', default: '500' } } });
const messages = Number(values.messages);
const server = await startTestRedis();
const queue = await openTestQueue(server);
try {
  const lead = keyRate();
  const rows: string[][] = [];
  for (const [name, refused] of Object.entries({ partner: refusedMail, webhook: refusedWebhook })) {
    const route = await refused(queue, messages);
    const own = process.cpuUsage();
    const redis = cpuOf(server.pid);
    await route.start();
    while ((await route.putAside()) < messages - 1) await sleep(10);
    const { user, system } = process.cpuUsage(own);
    const ofRedis = ((cpuOf(server.pid) - redis) * 1000) / messages;
    // the pauses are of 2, 4, 8 seconds
    const atOnce = route.attempts();
    await sleep(15_000);
    const later = route.attempts();
    await route.stop();
    await queue.redis.flushdb();
    rows.push([name, String(atOnce), String(later), figure((user + system) / messages), figure(ofRedis)]);
  }
  printTable(
    `${messages} messages for a port that refuses, L is ${figure(lead)}`,
    ['route', 'connections', '15 s later', 'us a message', 'us of Redis'],
    rows,
  );
} finally {
  await queue.close();
  await server.stop();
}
process.exit(0);
