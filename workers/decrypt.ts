/** Decodes messages, and hands off those for local destinations. Holds the keys and does not listen. */
import { loadKeys, readSecret } from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { tracerOf } from '../src/message/index.ts';
import { authoritiesOf, PartnerDirectory, pinsOf } from '../src/partner/index.ts';
import { decoderOptions, decodeStep, openLocalDestinations, Turns } from '../src/pipeline/index.ts';

await runRole('decrypt', async ({ config, queue, log }) => {
  const { queues, flow, spool } = queue;
  const keys = await loadKeys(config);
  const { mailboxes, strong, limits, workers } = config;
  const authorities = authoritiesOf(config.trust);
  const local = await openLocalDestinations({ ...queue, config, readSecret, log, now: Date.now });
  const step = await decodeStep({
    spool,
    flow,
    mailboxes,
    strong,
    partners: new PartnerDirectory(config.partners, keys.partners),
    optionsFor: await decoderOptions({
      ...{ keys, limits, authorities, now: () => new Date() },
      pins: pinsOf(keys.partners.values()),
    }),
    large: new Turns(workers.large),
    local,
    trace: tracerOf(queue.deriveKey),
  });
  const worker = await queues.createWorker('inbound', step, {
    concurrency: workers.concurrency,
    suspectsAlone: true,
    local: true,
  });
  return { facts: { identities: keys.identities.length }, drain: (timeoutMs) => worker.close(timeoutMs) };
});
