/**
 * Keys that expire in Redis, with their maximum lifetime in milliseconds. Every time to live comes from here.
 * `queue/clock-watch.ts` looks for keys that would live longer, because a clock that was ahead wrote them.
 */
export const lifetimes = {
  /**
   * Lock of a job. A timer renews it four times in this span, so only work that blocks the event loop for seconds loses
   * it. The jobs of a killed process continue at the latest after this and one check for stalled jobs, which takes
   * place every quarter of it.
   */
  lock: 10_000,
  /** BullMQ's mark that some process has checked for stalled jobs. */
  stalledCheck: 2_500,
  /** Heartbeat and metrics of a process. */
  presence: 20_000,
  /** Lease of a folder of an IMAP mailbox: longer than a fail-over of Redis takes. */
  imapLease: 20_000,
  /**
   * Counts of events in ten-minute slots: a week and a day, so that an hour can be compared with the same hour last
   * week.
   */
  tally: 8 * 86_400_000,
  /** Verdict of a suspended message, unless it continues or ends before. */
  verdict: 90 * 86_400_000,
  /** Stream of events, after its last follower has gone. */
  events: 86_400_000,
  /** Lease of the process that posts events: longer than an attempt waits. */
  eventsLease: 120_000,
  /** A check that somebody requested, and its result. */
  check: 3_600_000,
  /** What ends soon, for the alerts: longer than the time between any two looks. */
  expiryDue: 86_400_000,
  /** A revocation list that ends, after a process last saw it: three of its rounds. */
  listSeen: 15 * 60_000,
  /** Lease of the process that tells partners of our next certificates: longer than a round of mails takes. */
  noticesLease: 10 * 60_000,
  /** Lease of the process that looks after alerts. */
  alertsLease: 60_000,
  /** Lease of the sweep. */
  sweepLease: 15 * 60_000 - 1000,
  /** Lease of the process that warns of certificates that end. */
  expiryLease: 15 * 60_000,
  /** Lease of the process that replays messages: longer than a batch takes. */
  replayLease: 90_000,
  /** Lease of the process that asks whether certificates were revoked. */
  revocationLease: 10 * 60_000,
  /** Lease of a refresh token: longer than its endpoint may take to answer. */
  oauthLease: 40_000,
} as const;

/** The entries of a process. The names of the keys are in a set with this name. */
export const presenceKinds = ['alive', 'metrics'] as const;
export type PresenceKind = (typeof presenceKinds)[number];
