/** Decodes messages, and hands off those for local destinations. Holds the keys and does not listen. */
import {
  CertStore,
  loadCounting,
  loadHarvest,
  loadStanding,
  publishOwn,
  SeenCertificates,
  watchExpiry,
  watchLists,
} from '../src/certstore/index.ts';
import { loadKeys, profileBook, readSecret } from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { roomLog } from '../src/log.ts';
import { tracerOf } from '../src/message/index.ts';
import { authoritiesOf, PartnerDirectory, Shown, shownBy } from '../src/partner/index.ts';
import {
  decoderOptions,
  decodeStep,
  explainer,
  openLocalDestinations,
  Turns,
} from '../src/pipeline/index.ts';
import { verdictsOf } from '../src/queue/index.ts';
import { redisTime, sealedValues } from '../src/redis/index.ts';
import { ReplayWatch } from '../src/replay/index.ts';

/**
 * Messages in hand of one process, unless it waits for authorities. They wait for the disk of Redis alone, and more of
 * them share no more fsyncs. But what is in hand outlives young collections, and with 64 of them full collections were
 * three times as frequent (docs/performance.md).
 */
const mostInHand = 16;

void runRole('decrypt', async ({ config, queue, log, isBeside }) => {
  const { queues, flow, spool, ledger, guards, intake } = queue;
  const keys = await loadKeys(config);
  const certLog = roomLog(log, 'certstore');
  const store = await CertStore.open({
    ...{ ...queue, folder: config.dataDir, now: Date.now },
    log: certLog,
  });
  const [{ CountingCertificates }, { Harvest }, { KeyStanding }] = await Promise.all([
    loadCounting(),
    loadHarvest(),
    loadStanding(),
  ]);
  const counting = new CountingCertificates(store, keys);
  const { mailboxes, strong, limits, workers } = config;
  const standing = new KeyStanding({ config, keys, counting });
  const authorities = authoritiesOf(config.trust);
  // alerts must know the revocation lists that this process fetches for signers
  const lists = authorities && (await watchLists(queue, authorities));
  const local = await openLocalDestinations({
    ...{ ...queue, config, readSecret, now: Date.now },
    log: roomLog(log, 'handoff'),
    besideHandoff: isBeside('handoff'),
  });
  const partners = new PartnerDirectory(config.partners, () => counting.partners, keys.partnerTrust);
  const seen = new SeenCertificates({ ...queue, now: Date.now });
  const harvest = new Harvest({
    ...{ store, seen, authorities, log: certLog, now: Date.now },
    partners: config.partners,
    ownerOf: (address) => partners.byAddress(address)?.name,
    keys,
    redisNow: () => redisTime(queue.redis, 'certs'),
    steady: () => performance.now(),
    note: (id, facts) => ledger.note(id, { type: 'certificate', at: Date.now(), facts }),
  });
  store.start();
  await publishOwn(sealedValues(queue, 'certs-own'), keys);
  harvest.start();
  const expiry = watchExpiry({
    ...{ config, keys, queue, log: certLog, partners: () => counting.partners },
    onChange: (listener) => store.onChange(listener),
  });
  const shown = new Shown(sealedValues(queue, 'shown'), Date.now);
  const step = await decodeStep({
    spool,
    flow,
    mailboxes,
    strong,
    partners,
    harvest,
    profiles: await profileBook(config),
    guards,
    explain: explainer({
      guards,
      partners: config.partners,
      withIntake: (work) => work(intake),
      now: () => new Date(),
    }),
    optionsFor: await decoderOptions({
      ...{ keys, limits, authorities, now: () => new Date() },
      ...{ pins: counting.pins, refused: () => counting.refused },
    }),
    large: new Turns(workers.large),
    local,
    trace: tracerOf(queue.deriveKey),
    keepVerdict: verdictsOf(queue).keep,
    judgedWith: (reason, mailbox, partner, at) =>
      standing.digest({ direction: 'inbound', reason, mailbox, partner }, at),
    onAccepted(mail) {
      for (const fact of shownBy(mail, (partner) => counting.partners.get(partner) ?? [])) shown.note(fact);
    },
  });
  const worker = await queues.createWorker('inbound', step, {
    concurrency: authorities ? workers.concurrency : Math.min(workers.concurrency, mostInHand),
    suspectsAlone: true,
    local: true,
  });
  const replay = new ReplayWatch({
    ...{ direction: 'inbound', config, queue, standing, now: Date.now },
    log: roomLog(log, 'replay'),
    values: sealedValues(queue, 'standing'),
    onChange: (listener) => store.onChange(listener),
  });
  replay.start();
  return {
    facts: { identities: keys.identities.length },
    troubles: () => [...store.troubles(), ...expiry.troubles()],
    async drain(timeoutMs) {
      await replay.stop();
      await lists?.stop();
      await worker.close(timeoutMs);
      store.stop();
      expiry.stop();
      await harvest.stop();
      await seen.flush();
      await shown.flush();
    },
  };
});
