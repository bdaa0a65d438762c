/** Decodes messages. Holds the keys, and does not listen. */
import { loadKeys } from '../src/config/keys.ts';
import { runRole } from '../src/daemon/role.ts';
import { authoritiesOf } from '../src/partner/authorities.ts';
import { PartnerDirectory } from '../src/partner/directory.ts';
import { decoderOptions, decodeStep, Turns } from '../src/pipeline/index.ts';

await runRole('decrypt', async ({ config, queue: { queues, flow, spool } }) => {
  const keys = loadKeys(config);
  const { mailboxes, strong, limits, workers } = config;
  const authorities = authoritiesOf(config.trust);
  const step = decodeStep({
    spool,
    flow,
    mailboxes,
    strong,
    partners: new PartnerDirectory(config.partners, keys.partners),
    optionsFor: decoderOptions({ keys, limits, authorities, now: () => new Date() }),
    large: new Turns(workers.large),
  });
  const worker = queues.createWorker('inbound', step, {
    concurrency: workers.concurrency,
    suspectsAlone: true,
    local: true,
  });
  return { facts: { identities: keys.identities.length }, drain: (timeoutMs) => worker.close(timeoutMs) };
});
