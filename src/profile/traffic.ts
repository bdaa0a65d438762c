/** What was seen of a partner over some days, out of the counters of the ledger, and what of it misses a profile. */
import { readCode, type Seen } from './code.ts';
import { type HeldRule, type Missed, missedByMessage } from './rules.ts';

/** A counter of the ledger: so many messages of a day with the same code. */
export interface Counted {
  /** Such as `2026-11-30`. */
  readonly day: string;
  readonly code: string;
  readonly messages: number;
}

/** Messages that were protected alike. */
export interface Traffic {
  readonly seen: Seen;
  readonly messages: number;
  /** The last day on which there was one. */
  readonly last: string;
}

/** Sums the counters of all days by code, most frequent first. `unread`: messages whose code says nothing here. */
export function trafficOf(counted: readonly Counted[]): { traffic: Traffic[]; unread: number } {
  const byCode = new Map<string, { messages: number; last: string }>();
  for (const { day, code, messages } of counted) {
    const before = byCode.get(code);
    byCode.set(code, {
      messages: (before?.messages ?? 0) + messages,
      last: before === undefined || before.last < day ? day : before.last,
    });
  }
  let unread = 0;
  const traffic: Traffic[] = [];
  for (const [code, { messages, last }] of byCode) {
    const seen = readCode(code);
    if (seen === undefined) unread += messages;
    else traffic.push({ seen, messages, last });
  }
  return { traffic: traffic.sort((a, b) => b.messages - a.messages), unread };
}

/** A rule that messages missed: how many of them, and when last. */
export interface MissedByTraffic extends Missed {
  readonly direction: Seen['direction'];
  /** Seen only in messages that anyone could have written; it is a `should` then. */
  readonly claimed: boolean;
  readonly messages: number;
  readonly last: string;
}

export function missedByTraffic(rules: readonly HeldRule[], traffic: readonly Traffic[]): MissedByTraffic[] {
  const found = new Map<string, MissedByTraffic>();
  for (const { seen, messages, last } of traffic)
    for (const missed of missedByMessage(rules, seen)) {
      const { direction, claimed } = seen;
      const key = `${missed.profile} ${missed.rule.id} ${direction} ${claimed} ${missed.found}`;
      const before = found.get(key);
      found.set(key, {
        ...missed,
        level: claimed ? 'should' : missed.level,
        ...{ direction, claimed },
        messages: (before?.messages ?? 0) + messages,
        last: before === undefined || before.last < last ? last : before.last,
      });
    }
  return [...found.values()];
}

const names = ['ciphers', 'keyManagement', 'signatures', 'keys', 'protection'] as const;
/** Names of what was seen in one direction, each with the number of messages that had it. */
export type Aspects = Readonly<Record<(typeof names)[number], Readonly<Record<string, number>>>>;

/** What was seen in one direction, for people: each name with its number of messages. */
export function aspectsOf(traffic: readonly Traffic[], direction: Seen['direction']): Aspects {
  const counts: Record<(typeof names)[number], Record<string, number>> = {
    ciphers: {},
    keyManagement: {},
    signatures: {},
    keys: {},
    protection: {},
  };
  for (const { seen, messages } of traffic) {
    if (seen.direction !== direction) continue;
    const found = {
      ciphers: new Set<string>(),
      keyManagement: new Set<string>(),
      signatures: new Set<string>(),
      keys: new Set<string>(),
      protection: new Set<string>(),
    };
    const order: string[] = [];
    for (const layer of seen.used.layers) {
      if (layer.layer === 'encryption') {
        found.ciphers.add(layer.cipher);
        for (const { management, key } of layer.keys) {
          found.keyManagement.add(management);
          if (key !== null) found.keys.add(`encrypt ${key.family}-${key.bits ?? '?'}`);
        }
      } else if (layer.layer === 'signature')
        for (const { digest, scheme, key } of layer.signers) {
          found.signatures.add(`${scheme} ${digest}`);
          if (key !== null) found.keys.add(`sign ${key.family}-${key.bits ?? '?'}`);
        }
      order.push(layer.layer);
    }
    found.protection.add(
      `${order.join(' around ')}${seen.used.headerProtection ? ', header protected' : ''}`,
    );
    for (const name of names)
      for (const each of found[name]) counts[name][each] = (counts[name][each] ?? 0) + messages;
  }
  return counts;
}
