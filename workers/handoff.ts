/** Hands decoded messages off to the destinations of their mailbox, and reports of suspended ones to `onSuspend`. */
import { readSecret } from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { deliverStep, openDestinations, openReportRoutes, reportStep, Turns } from '../src/pipeline/index.ts';

await runRole('handoff', async ({ config, queue, log }) => {
  const { queues, flow, spool, ledger } = queue;
  const { concurrency, large } = config.workers;
  const parts = { ...queue, config, readSecret, log, now: Date.now };
  const [destinations, routes] = await Promise.all([openDestinations(parts), openReportRoutes(parts)]);
  const deliver = deliverStep({ spool, flow, destination: destinations.find, large: new Turns(large) });
  const report = reportStep({ route: routes.find, ledger, flow, spool, now: Date.now });
  const workers = [
    await queues.createWorker('handoff', deliver, { concurrency, most: destinations.most }),
    await queues.createWorker('failures', report, { concurrency }),
  ];
  return {
    facts: { destinations: destinations.size },
    async drain(timeoutMs) {
      await Promise.all(workers.map((worker) => worker.close(timeoutMs)));
      await Promise.all([destinations.close(), routes.close()]);
    },
  };
});
