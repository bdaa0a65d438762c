/** A worker in a process of its own, to be killed: `node worker-process.ts URL DATA_DIR hang|done|poison|order`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openTestQueue } from '../support/queue.ts';

const [url = '', dataDir = '', behaviour] = process.argv.slice(2);
const queue = await openTestQueue({ url, dataDir });
const poison = behaviour === 'poison' ? await queue.redis.get('test:poison') : null;
await queue.queues.createWorker(
  'outbound',
  async (job) => {
    process.send?.({ started: job.id });
    // Its neighbours are still at work when it takes the process down.
    if (behaviour === 'poison') await sleep(job.id === poison ? 20 : 200);
    if (job.id === poison) process.kill(process.pid, 'SIGKILL');
    if (behaviour === 'hang') await new Promise(() => undefined);
    if (behaviour === 'order') {
      await queue.redis.rpush('test:order', job.id);
      await sleep(30);
    }
    await queue.flow.sent(job, {});
    return { done: true };
  },
  { concurrency: 4, lockDuration: 400 },
);
