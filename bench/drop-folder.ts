/**
 * A drop folder with many files at once, into the real queue: files a second, and processor time of the process that
 * takes them (not that of Redis). `node bench/drop-folder.ts [files] [octets]`
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDrop } from '../test/support/drop.ts';
import { openTestQueue } from '../test/support/queue.ts';
import { startTestRedis } from '../test/support/redis.ts';

const count = Number(process.argv[2] ?? 10_000);
const octets = Number(process.argv[3] ?? 10_000);
const server = await startTestRedis();
const queue = await openTestQueue(server);
let done = 0;
const finished = Promise.withResolvers<void>();
let begun: { at: number; cpu: NodeJS.CpuUsage } | undefined;
const drop = await startDrop({ queue, dataDir: server.dataDir }, {}, undefined, {}, (real) => ({
  async submit(file) {
    begun ??= { at: performance.now(), cpu: process.cpuUsage() };
    const result = await real.submit(file);
    done += 1;
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
}
await drop.close();
await queue.close();
await server.stop();
