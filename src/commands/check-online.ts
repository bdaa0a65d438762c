/** What `sealpost check --online` tries over the network. */
import {
  type Config,
  type OnlineProbes,
  ownName,
  type PartnerConfig,
  type ProbeNote,
  readSecret,
} from '../config/index.ts';
import { type ErrorCode, SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import { redisTime } from '../redis/index.ts';
import type { RouteProbe, SenderParts } from '../smtp/index.ts';
import { openNetwork } from './network.ts';

/** Milliseconds for each probe. */
const DEADLINE = 30_000;
/** Milliseconds that clocks may differ: expiry of keys in Redis, and signatures of webhooks. */
const REDIS_CLOCK = 2000;
const HTTP_CLOCK = 60_000;

export interface OnlineOptions {
  /** Also name sender and recipient to the servers of the routes. */
  recipient: boolean;
}

export async function onlineProbes(config: Config, { recipient }: OnlineOptions): Promise<OnlineProbes> {
  const { parts: network, texts, queue, close } = await openNetwork(config);
  const tryRoute = (what: string, route: SenderParts['route'], probe: RouteProbe) =>
    within('send-failed', what, async (signal): Promise<ProbeNote[]> => {
      const { probeRoute } = await import('../smtp/index.ts');
      await probeRoute({ route, readSecret, name: ownName(config), ...network }, probe, signal);
      return [];
    });
  return {
    mailbox: (imap) =>
      within('imap-failed', `the login at ${imap.host}`, async () => {
        const { probeMailbox } = await import('../imap/index.ts');
        return await probeMailbox(imap, readSecret, network.tokens);
      }),
    route: (partner, route) => {
      const [to, full] = addressOf(partner);
      const settings = 'from and the first address of the partner';
      return tryRoute('the route', route, {
        ...{ from: partner.from ?? '', to, settings },
        recipient: recipient && full,
      });
    },
    mail: async (destination) => {
      const { mailProbe, mailRoute } = await import('../handoff/index.ts');
      const probe = mailProbe(destination);
      return await tryRoute('the mail server', mailRoute(destination), {
        ...probe,
        recipient: recipient && probe.recipient,
      });
    },
    bucket: (destination) =>
      within('handoff-failed', 'the bucket', async () => {
        const { probeBucket } = await import('../handoff/index.ts');
        const left = await probeBucket(destination, createLog('silent', 'check'), Date.now());
        if (left === undefined) return [];
        return [
          {
            message: `the test object ${left} was stored, but could not be removed`,
            hint: 'remove it; the destination itself needs no right to remove objects',
          },
        ];
      }),
    events: (events) =>
      within('handoff-failed', 'the webhook of events', async (signal) => {
        const { probeEvents } = await import('../handoff/index.ts');
        const date = await probeEvents(events, { readSecret, now: Date.now }, signal);
        return clockNote(Date.parse(date ?? ''), HTTP_CLOCK, `of ${new URL(events.url).host}`);
      }),
    webhook: (destination) =>
      within('handoff-failed', 'the webhook', async (signal) => {
        const { probeWebhook } = await import('../handoff/index.ts');
        const deps = { readSecret, limits: config.limits, now: Date.now };
        const date = await probeWebhook(destination, deps, signal);
        return clockNote(Date.parse(date ?? ''), HTTP_CLOCK, `of ${new URL(destination.url).host}`);
      }),
    dkim: (entry) =>
      within('dns-failed', 'DNS', async () => {
        const { checkRecord } = await import('./dkim.ts');
        return await checkRecord(entry, texts);
      }),
    clock: () =>
      within('redis-unreachable', 'Redis', async () => {
        if (queue === undefined) return [];
        return clockNote(await redisTime(queue.redis, 'clock'), REDIS_CLOCK, 'of Redis');
      }),
    close,
  };
}

/** The address that mail goes to, or one of a partner that has only domains, which is not named to the server. */
function addressOf({ addresses }: PartnerConfig): [string, boolean] {
  const full = addresses.find((each) => !each.startsWith('@'));
  if (full !== undefined) return [full, true];
  return [`postmaster${(addresses[0] ?? '@localhost').replace('@*.', '@')}`, false];
}

function clockNote(other: number, allowed: number, whose: string): ProbeNote[] {
  const difference = Date.now() - other;
  if (Number.isNaN(difference) || Math.abs(difference) <= allowed) return [];
  const seconds = Math.round(Math.abs(difference) / 1000);
  const side = difference > 0 ? 'behind' : 'ahead of';
  return [
    {
      message: `the clock ${whose} is ${seconds} seconds ${side} the clock of this machine`,
      hint: 'set both by NTP; leases and signatures depend on it',
    },
  ];
}

/** Ends with an error after the deadline, whatever the other side does. */
async function within<T>(
  code: ErrorCode,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const signal = AbortSignal.timeout(DEADLINE);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => {
      const hint = 'check host and port, and the firewall';
      const message = `${what} did not answer within ${DEADLINE / 1000} seconds`;
      reject(new SealpostError(code, message, { hint }));
    });
  });
  return await Promise.race([work(signal), late]);
}
