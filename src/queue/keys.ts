import { type SpoolKeys, spoolKeysOf } from '../spool/index.ts';
import type { MessageState, QueueName } from './types.ts';

export const queueNames: readonly QueueName[] = ['inbound', 'handoff', 'outbound', 'failures'];

/** Names of all Redis keys of this room, apart from those of BullMQ. Each begins with the prefix (its hash tag). */
export interface Keys extends SpoolKeys {
  prefix: string;
  /** Hash: the record of a message. */
  message(id: string): string;
  /** Sorted sets of message ids by the time when they were received. */
  all: string;
  state(state: MessageState): string;
  mailbox(name: string): string;
  partner(name: string): string;
  reason(code: string): string;
  /** Value: something sealed, to notice a different spool key. */
  keyCheck: string;
  /** Hash: octets that are held, by state. */
  load: string;
  /** Sorted set: ids by a digest in hex, of the Message-ID (`i`, SHA-1) or the octets (`h`, SHA-256). */
  digest(kind: 'i' | 'h', digest: string): string;
  /** Sorted set: ids by the four digits behind their letter. */
  ids(digits: string): string;
  /** Value: how often the sweep has looked for ids that are in no such set. */
  idsKnown: string;
  /** Value: the same of records that are in no set of their addresses. */
  addressesKnown: string;
  /** Stream: what people did. */
  audit: string;
  /** Stream: what happens to messages, while somebody follows it. */
  events: string;
  /** Hash: the last jump of a clock, and what had to be shortened for it (JSON). */
  clock: string;
  /** Sorted set: jobs of a queue that wait for a place of their route. */
  parked(queue: QueueName): string;
  /** Set: routes that have such jobs. */
  parkedRoutes(queue: QueueName): string;
  /** Set: jobs of a route that failed because it was down. */
  late(queue: QueueName, route: string): string;
  /** Set: routes that have such jobs. */
  lateRoutes(queue: QueueName): string;
  /** Value: such a route was tried a short while ago. */
  probed(queue: QueueName, route: string): string;
  /** Hash: how many messages of a day (since the epoch) were protected in which way, by code. */
  used(partner: string, day: number): string;
  /** Sorted set: messages of a client for a partner in strict order, by the name of the line. */
  line(name: string): string;
  /** Hash: by route, a value that changes when the route should be tried at once. */
  nudges(queue: QueueName): string;
  /** Hash: by route, since when it is down, and why (JSON). */
  sick(queue: QueueName): string;
  /** Hash: what is paused. */
  paused: string;
  /** Hash: by mailbox that is to be polled at once, a value that changes each time. */
  polls: string;
  /** Hash: what attempts showed. */
  routeStates(kind: 'mailbox' | 'partner' | 'destination'): string;
  /** Hash: how many messages reached which state in ten minutes (their number since the epoch). */
  tally(span: number): string;
}

export function keysOf(prefix: string): Keys {
  return {
    prefix,
    message: (id) => `${prefix}:m:${id}`,
    ...spoolKeysOf(prefix),
    all: `${prefix}:ix:all`,
    state: (state) => `${prefix}:ix:s:${state}`,
    mailbox: (name) => `${prefix}:ix:b:${name}`,
    partner: (name) => `${prefix}:ix:p:${name}`,
    reason: (code) => `${prefix}:ix:x:${code}`,
    keyCheck: `${prefix}:keycheck`,
    load: `${prefix}:load`,
    digest: (kind, digest) => `${prefix}:ix:${kind}:${digest.slice(0, 4)}`,
    ids: (digits) => `${prefix}:ix:n:${digits}`,
    idsKnown: `${prefix}:ids`,
    addressesKnown: `${prefix}:addresses`,
    audit: `${prefix}:audit`,
    events: `${prefix}:events`,
    clock: `${prefix}:clock`,
    parked: (queue) => `${prefix}:parked:${queue}`,
    parkedRoutes: (queue) => `${prefix}:routes:${queue}`,
    late: (queue, route) => `${prefix}:late:${queue}:${route}`,
    lateRoutes: (queue) => `${prefix}:late:${queue}`,
    probed: (queue, route) => `${prefix}:probed:${queue}:${route}`,
    used: (partner, day) => `${prefix}:used:${partner}:${day}`,
    line: (name) => `${prefix}:line:${name}`,
    nudges: (queue) => `${prefix}:nudged:${queue}`,
    sick: (queue) => `${prefix}:sick:${queue}`,
    paused: `${prefix}:paused`,
    polls: `${prefix}:polls`,
    routeStates: (kind) => `${prefix}:states:${kind}`,
    tally: (span) => `${prefix}:tally:${span}`,
  };
}
