/** A worker in a process of its own, to be killed: `node worker-process.ts URL DATA_DIR hang|done`. */
import { openTestQueue } from '../support/queue.ts';

const [url = '', dataDir = '', behaviour] = process.argv.slice(2);
const queue = await openTestQueue({ url, dataDir });
queue.queues.createWorker(
  'outbound',
  async (job) => {
    process.send?.({ started: job.id });
    if (behaviour === 'hang') await new Promise(() => undefined);
    await queue.flow.sent(job, {});
    return { done: true };
  },
  { concurrency: 4, lockDuration: 400 },
);
