/** Hands decoded messages off to the destinations of their mailbox, and reports of suspended ones to `onSuspend`. */
import { alertsFor } from '../src/alert/index.ts';
import { allDestinations, type Config, readSecret } from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import type { MailNetwork, RateSettings } from '../src/handoff/index.ts';
import { roomLog } from '../src/log.ts';
import {
  alertMail,
  deliverStep,
  openDestinations,
  openReportRoutes,
  reportStep,
  Turns,
} from '../src/pipeline/index.ts';

import type { QueueRoom } from '../src/queue/index.ts';
import { sealedValues, sharedBucket } from '../src/redis/index.ts';

void runRole('handoff', async ({ config, queue, log }) => {
  const { queues, flow, spool, ledger } = queue;
  const { concurrency, large } = config.workers;
  const lookups = await mailNetwork(config, queue);
  const rate = (name: string, settings: RateSettings) => sharedBucket(queue, `handoff:${name}`, settings);
  const parts = {
    ...queue,
    config,
    readSecret,
    network: lookups.network,
    rate,
    log: roomLog(log, 'handoff'),
    now: Date.now,
  };
  const [destinations, routes] = await Promise.all([openDestinations(parts), openReportRoutes(parts)]);
  const deliver = deliverStep({ spool, flow, destination: destinations.find, large: new Turns(large) });
  const report = reportStep({ route: routes.find, ledger, flow, spool, now: Date.now });
  const workers = [
    await queues.createWorker('handoff', deliver, {
      concurrency,
      most: destinations.most,
      pace: destinations.pace,
    }),
    await queues.createWorker('failures', report, { concurrency, pace: routes.pace }),
  ];
  const mail = alertMail(config, { withIntake: (work) => work(queue.intake), now: () => new Date() });
  const alerts = await alertsFor('handoff', {
    ...{ config, queue, mail, now: Date.now },
    log: roomLog(log, 'alert'),
  });
  return {
    facts: { destinations: destinations.size },
    troubles: () => alerts.troubles(),
    async drain(timeoutMs) {
      await alerts.stop();
      await Promise.all(workers.map((worker) => worker.close(timeoutMs)));
      await Promise.all([destinations.close(), routes.close()]);
      lookups.close();
    },
  };
});

/** Loaded only for mail destinations, which most installations do not have. */
async function mailNetwork(
  config: Config,
  queue: QueueRoom,
): Promise<{ network: MailNetwork; close: () => void }> {
  if (!allDestinations(config).some(([, { type }]) => type === 'smtp' || type === 'lmtp'))
    return { network: {}, close: () => {} };
  const { createLookups } = await import('../src/smtp/index.ts');
  const { createRefreshTokens, Tokens } = await import('../src/oauth/index.ts');
  const { close, ...lookups } = createLookups(config, sealedValues(queue, 'sts'));
  const tokens = new Tokens({ readSecret, refreshTokens: createRefreshTokens(queue) });
  return { network: { ...lookups, tokens }, close };
}
