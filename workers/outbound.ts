/** Signs and encrypts messages for partners and sends them by the partner's route. */
import { loadKeys } from '../src/config/keys.ts';
import { readSecret } from '../src/config/secrets.ts';
import { runRole } from '../src/daemon/role.ts';
import { outboundProtection } from '../src/partner/outbound.ts';
import { sendStep } from '../src/pipeline/index.ts';
import { createSender } from '../src/smtp/send.ts';

await runRole('outbound', async ({ config, queue: { queues, flow, spool } }) => {
  const keys = loadKeys(config);
  const { partners, limits, workers } = config;
  const routes = new Map(
    partners.map((partner) => {
      const sender = createSender({ route: partner.route, readSecret, name: config.smtp.hostname });
      return [partner.name, { partner, sender }];
    }),
  );
  const step = sendStep({
    spool,
    flow,
    route: (partner) => routes.get(partner),
    protection: (partner) => outboundProtection(partner, keys, new Date()),
    limits,
  });
  const worker = queues.createWorker('outbound', step, {
    concurrency: workers.concurrency,
    // More of them would only wait for a connection.
    most: (partner) => routes.get(partner)?.partner.route.connections ?? 1,
  });
  return {
    facts: { partners: routes.size },
    async drain(timeoutMs) {
      await worker.close(timeoutMs);
      await Promise.all([...routes.values()].map(({ sender }) => sender.close()));
    },
  };
});
