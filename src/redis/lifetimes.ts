/**
 * Keys that expire in Redis, with their maximum lifetime in milliseconds. Every time to live comes from here.
 * `queue/clock-watch.ts` looks for keys that would outlive it, because a clock that was ahead wrote them.
 */
export const lifetimes = {
  /**
   * Lock of a job. A timer renews it four times in that span, so only work that blocks the event loop for seconds loses
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
   * Counts of what happened in ten minutes: a week and a day, so that an hour can be held against that of last week.
   */
  tally: 8 * 86_400_000,
  /** Verdict of a suspended message, unless it goes on or ends before. */
  verdict: 90 * 86_400_000,
  /** Stream of events, after its last follower. */
  events: 86_400_000,
  /** Lease of who posts events: longer than an attempt waits. */
  eventsLease: 120_000,
  /** A check that somebody asked for, and what was found. */
  check: 3_600_000,
  /** What ends soon, for the alerts: longer than anything is between two looks. */
  expiryDue: 86_400_000,
  /** A revocation list that ends, since a process saw it last: three of its rounds. */
  listSeen: 15 * 60_000,
  /** Lease of who tells partners of our next certificates: longer than a round of mails takes. */
  noticesLease: 10 * 60_000,
  /** Lease of who looks after alerts. */
  alertsLease: 60_000,
  /** Lease of the sweep. */
  sweepLease: 15 * 60_000 - 1000,
  /** Lease of who warns of certificates that end. */
  expiryLease: 15 * 60_000,
  /** Lease of who replays messages: longer than a batch takes. */
  replayLease: 90_000,
  /** Lease of who asks whether certificates were revoked. */
  revocationLease: 10 * 60_000,
  /** Lease of a refresh token: longer than its endpoint may take to answer. */
  oauthLease: 40_000,
} as const;

/** The entries of a process; the names of the keys are in a set with this name. */
export const presenceKinds = ['alive', 'metrics'] as const;
export type PresenceKind = (typeof presenceKinds)[number];
