/** A worker in a process of its own, to be killed: `node worker-process.ts URL DATA_DIR hang|done|poison|order`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openTestQueue } from '../support/queue.ts';

const [url = '', dataDir = '', behaviour] = process.argv.slice(2);
const queue = await openTestQueue({ url, dataDir });
const poison = behaviour === 'poison' ? await queue.redis.get('test:poison') : null;
await queue.queues.createWorker(
  'outbound',
  async (job, { end }) => {
    process.send?.({ started: job.id });
    // Its neighbours are still at work when it takes the process down.
    if (behaviour === 'poison') await sleep(job.id === poison ? 20 : 200);
    if (job.id === poison) process.kill(process.pid, 'SIGKILL');
    if (behaviour === 'hang') await new Promise(() => undefined);
    if (behaviour === 'order') {
      // As the sender does it: a message that has been sent is left alone, and its job ends with the step.
      const { state } = await queue.flow.fetch(job.id, [job.octets], end);
      if (state !== 'queued') return { done: true };
      await queue.redis.rpush('test:order', job.id);
      await sleep(30);
      await queue.flow.sent(job, {}, end);
      return { done: true };
    }
    await queue.flow.sent(job, {});
    return { done: true };
  },
  // Whoever is late to renew its lock shares the message with another process, in whatever order: only one that was
  // killed may lose it here.
  { concurrency: 4, lockDuration: behaviour === 'order' ? 2000 : 400 },
);
