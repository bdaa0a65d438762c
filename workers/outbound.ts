/** Signs and encrypts messages for partners and sends them by the partner's route. */
import { alertsFor } from '../src/alert/index.ts';
import {
  CertStore,
  type CountingCertificates,
  loadCounting,
  loadProtecting,
  loadStanding,
  offerLookedUp,
  type RevocationRound,
  RollOverNotices,
  startRevocations,
  watchExpiry,
} from '../src/certstore/index.ts';
import {
  loadDkimKeys,
  loadKeys,
  ownAddresses,
  ownName,
  type PartnerConfig,
  partnerKey,
  readPublicFile,
  readSecret,
} from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { SealpostError } from '../src/errors.ts';
import { roomLog } from '../src/log.ts';
import { LookupRound, lookupsOf } from '../src/lookup/index.ts';
import { tracerOf } from '../src/message/index.ts';
import { createRefreshTokens, Tokens } from '../src/oauth/index.ts';
import { encryptionCertificates, loadOpensAt, PartnerDirectory, Shown } from '../src/partner/index.ts';
import { alertMail, noticeMail, sendStep } from '../src/pipeline/index.ts';
import { sealedValues, sharedBucket } from '../src/redis/index.ts';
import { ReplayWatch } from '../src/replay/index.ts';
import { createLookups, openSender, withBackup } from '../src/smtp/index.ts';

void runRole('outbound', async ({ config, queue, log }) => {
  const { queues, flow, spool } = queue;
  const lookups = createLookups(config, sealedValues(queue, 'sts'));
  const tokens = new Tokens({ readSecret, refreshTokens: createRefreshTokens(queue) });
  const certLog = roomLog(log, 'certstore');
  const store = await CertStore.open({
    ...{ ...queue, folder: config.dataDir, now: Date.now },
    log: certLog,
  });
  const [{ CountingCertificates }, { KeyStanding }, { protecting }] = await Promise.all([
    loadCounting(),
    loadStanding(),
    loadProtecting(),
  ]);
  const keys = await loadKeys(config);
  let revocations: RevocationRound | undefined;
  const nothingRevoked = new Map();
  const counting = new CountingCertificates(
    store,
    keys,
    () => revocations?.revocation.revoked ?? nothingRevoked,
  );
  const standing = new KeyStanding({
    ...{ config, keys, counting },
    states: async (...of) => await revocations?.revocation.statesOf(...of, { waits: false, fresh: true }),
  });
  store.start();
  const expiry = watchExpiry({
    ...{ config, keys, queue, log: certLog, partners: () => counting.partners },
    onChange: (listener) => store.onChange(listener),
  });
  revocations = await startRevocations({
    ...{ config, keys, counting, queue, log: certLog, now: Date.now },
  });
  const own = ownAddresses(config);
  const { partners, limits, workers } = config;
  const open = (partner: PartnerConfig) => {
    const senderOf = (route: typeof partner.route, rated: string) => {
      const rate = sharedBucket(queue, rated, route.rate);
      const dialogue = { log: roomLog(log, 'smtp'), about: { partner: partner.name } };
      return openSender({ route, readSecret, name: ownName(config), tokens, rate, dialogue, ...lookups });
    };
    const { route, backup } = partner;
    const key = partnerKey(partner);
    const first = senderOf(route, `outbound:${key}`);
    const sender = backup
      ? withBackup(first, senderOf(backup.route, `backup:${key}`), backup, () => performance.now())
      : first;
    return { partner, sender };
  };
  const byKey = new Map(partners.map((partner) => [partnerKey(partner), partner]));
  /** Opened with the first message, because there may be thousands of partners. */
  const routes = new Map<string, ReturnType<typeof open>>();
  const routeTo = (key: string) => {
    let route = routes.get(key);
    const partner = byKey.get(key);
    if (route === undefined && partner !== undefined) {
      route = open(partner);
      routes.set(key, route);
    }
    return route;
  };
  const shown = new Shown(sealedValues(queue, 'shown'), Date.now);
  const windowed = partners.some(({ windows }) => windows !== undefined);
  const step = await sendStep({
    spool,
    flow,
    route: routeTo,
    protection: protecting({
      ...{ counting, shown, now: Date.now },
      statesOf: async (...of) => await revocations?.revocation.statesOf(...of),
    }),
    limits,
    hostname: ownName(config),
    trace: tracerOf(queue.deriveKey),
    isOwn: (recipient) => own.findText(recipient) !== undefined,
    dkim: await loadDkimKeys(config),
    now: Date.now,
    judgedWith: (partner, reason) =>
      standing.digest({ direction: 'outbound', reason, mailbox: null, partner }, new Date()),
    // time zones take memory, and only partners with sending windows need them
    opensAt: windowed ? await loadOpensAt() : (_windows, now) => now,
  });
  const worker = await queues.createWorker('outbound', step, {
    concurrency: workers.concurrency,
    // While one message is recorded as sent, the next one is ready for its connection.
    most: (partner) => Math.ceil((byKey.get(partner)?.route.connections ?? 1) * 1.5),
    pace: (partner) => routeTo(partner)?.sender.pace,
    hurried: (partner) => routeTo(partner)?.sender.hurry?.(),
  });
  const directory = new PartnerDirectory(partners);
  const ownerOf = (address: string) => directory.byAddress(address)?.name;
  const round = new LookupRound({
    lookups: lookupsOf(config, { queue, dns: lookups.dns }),
    partners,
    provided: ({ name }, at) => isProvided(name, counting, at),
    offer: ({ name }, found) => offerLookedUp({ ...found, partner: name }, { store, counting, ownerOf }),
    log: roomLog(log, 'lookup'),
    now: Date.now,
  });
  round.start();
  const replay = new ReplayWatch({
    ...{ direction: 'outbound', config, queue, standing, now: Date.now },
    log: roomLog(log, 'replay'),
    values: sealedValues(queue, 'standing'),
    onChange: (listener) => store.onChange(listener),
  });
  replay.start();
  const { template } = config.expiry.notice ?? {};
  const notices = new RollOverNotices({
    ...{ config, keys, queue, log: certLog, now: () => new Date() },
    send: noticeMail(config, {
      withIntake: (work) => work(queue.intake),
      now: () => new Date(),
      template: template === undefined ? undefined : readPublicFile(template).toString(),
    }),
  });
  notices.start();
  const mail = alertMail(config, { withIntake: (work) => work(queue.intake), now: () => new Date() });
  const alerts = await alertsFor('outbound', {
    ...{ config, queue, mail, now: Date.now },
    log: roomLog(log, 'alert'),
  });
  return {
    facts: { partners: byKey.size },
    troubles: () => [
      ...alerts.troubles(),
      ...store.troubles(),
      ...expiry.troubles(),
      ...(revocations?.troubles() ?? []),
      ...round.troubles(),
    ],
    async drain(timeoutMs) {
      await alerts.stop();
      await notices.stop();
      await replay.stop();
      await worker.close(timeoutMs);
      await round.stop();
      await revocations?.stop();
      store.stop();
      expiry.stop();
      for (const { sender } of routes.values()) sender.close();
      lookups.close();
    },
  };
});

function isProvided(name: string, { partners }: CountingCertificates, at: Date): boolean {
  try {
    return encryptionCertificates(name, partners.get(name) ?? [], at).length > 0;
  } catch (error) {
    if (error instanceof SealpostError) return false;
    throw error;
  }
}
