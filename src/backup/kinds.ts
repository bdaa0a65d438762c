/**
 * What an installation keeps in Redis, by the names of its keys. A key that no row knows is left out and reported. So a
 * new kind of session or token is not revived by accident.
 */

export type KeyType = 'string' | 'hash' | 'set' | 'zset' | 'stream';

/** Ids of jobs: the id of their message, and a suffix. */
const job = '[io][0-9a-f]{31}(?:\\..*)?(?<!:lock)';

/** What is saved: pattern of the name without the prefix, and type. */
const saved: readonly [RegExp, KeyType][] = [
  [/^m:/, 'hash'],
  [/^o:/, 'string'],
  [/^f:/, 'set'],
  [/^d:/, 'string'],
  [/^ix:/, 'zset'],
  [/^(?:keycheck|places|ids|addresses)$/, 'string'],
  [/^(?:load|paused)$/, 'hash'],
  [/^audit$/, 'stream'],
  [/^used:/, 'hash'],
  [/^line:/, 'zset'],
  [/^lines$/, 'set'],
  [/^dup:/, 'string'],
  [/^explained:/, 'zset'],
  [/^replays:/, 'hash'],
  [/^imap:mark:/, 'string'],
  [/^(?:clients|certs|users)$/, 'string'],
  [/^certs:(?:parts|first|last)$/, 'hash'],
  [/^clients:used$/, 'hash'],
  [/^expiry:said:/, 'string'],
  [/^(?:shown|standing|certs-own|tls|revocation|lookup|sts|verdict):/, 'string'],
  [new RegExp(`^(?:inbound|handoff|outbound):${job}$`), 'hash'],
];

/** Leases, whose names begin like others. */
const leases = /^(?:leases|lease:.*|imap:lease:.*|(?:expiry|revocation):lease|replay:[a-z]+:lease)$/;

/**
 * What is left out on purpose: signs of life, rates, BullMQ's own queues (jobs are saved; what had not ended waits for
 * a person after a restore), positions of followed events, tokens, and the jobs in the queues of programs.
 */
const left: readonly RegExp[] = [
  leases,
  /^(?:alive|metrics|events|polls|sick|states|tally|jobs|check)(?:$|:)/,
  /^(?:session|code|logins|seconds|tries|alerts|challenge)(?:$|:)/,
  /^(?:rate|parked|routes|late|probed|nudged|brought|from|folder|oauth|console-held|failures|inbound|handoff|outbound):/,
  /^(?:clock|restore|backup|ends|expiry:(?:due|lists|crls))$/,
];

/** Type of a key that is saved; `left` for one that is left out; undefined for an unknown one. */
export function kindOf(name: string): KeyType | 'left' | undefined {
  if (leases.test(name)) return 'left';
  const found = saved.find(([pattern]) => pattern.test(name));
  if (found !== undefined) return found[1];
  return left.some((pattern) => pattern.test(name)) ? 'left' : undefined;
}

/** The object of the spool whose owners a key holds. */
export function objectOf(name: string): string | undefined {
  return /^f:([0-9a-f]{32})$/.exec(name)?.[1];
}

/** Files of the data folder that record what was seen, and what was refused. */
export const dataFiles = ['certs.refused', 'certs.version', 'clients.version', 'users.version'] as const;
