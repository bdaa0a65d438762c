/**
 * A drop folder with many files at once, into the real queue: files a second, and processor time of the process that
 * takes them (not that of Redis). Beside it, each tenth of them, and the longest time in which none was taken: a stall
 * would show there. `node bench/drop-folder.ts [files] [octets]`
 */
import { renameSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { startDrop } from '../test/support/drop.ts';
import { openTestQueue } from '../test/support/queue.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { figure } from './table.ts';

const count = Number(process.argv[2] ?? 10_000);
const octets = Number(process.argv[3] ?? 10_000);
const server = await startTestRedis();
const queue = await openTestQueue(server);
let done = 0;
let gap = 0;
let last = 0;
const tenths: number[] = [];
const finished = Promise.withResolvers<void>();
let begun: { at: number; cpu: NodeJS.CpuUsage } | undefined;
const drop = await startDrop({ queue, dataDir: server.dataDir }, {}, undefined, {}, (real) => ({
  async submit(file) {
    begun ??= { at: performance.now(), cpu: process.cpuUsage() };
    const result = await real.submit(file);
    done += 1;
    const now = performance.now();
    if (last > 0) gap = Math.max(gap, now - last);
    last = now;
    if (done % Math.ceil(count / 10) === 0) tenths.push(now - begun.at);
    if (done === count) finished.resolve();
    return result;
  },
}));
for (let index = 0; index < count; index += 1) {
  const draft = join(drop.path, 'acme', `${index}.tmp`);
  writeFileSync(draft, Buffer.alloc(octets, String(index)));
  renameSync(draft, join(drop.path, 'acme', `order-${index}.xml`));
}
await finished.promise;
if (begun) {
  const seconds = (performance.now() - begun.at) / 1000;
  const { user, system } = process.cpuUsage(begun.cpu);
  const each = (user + system) / 1000 / count;
  console.log(
    `${count} files of ${octets} octets: ${Math.round(count / seconds)}/s, ${each.toFixed(2)} ms each`,
  );
  const rates = tenths.map((at, index) => (count / 10 / (at - (tenths[index - 1] ?? 0))) * 1000);
  console.log(`files a second in each tenth: ${rates.map((rate) => Math.round(rate)).join(' ')}`);
  console.log(`longest time without one: ${figure(gap)} ms; load ${loadavg()[0]?.toFixed(1)}`);
}
await drop.close();
await queue.close();
await server.stop();
