/**
 * The readiness of a partner in one row: what was seen of it, what it announced, and which profiles are met on a day.
 */
import type { PartnerConfig } from '../config/index.ts';
import { type Aspects, aspectsOf, type ProfileBook, rulesAt, type Traffic } from '../profile/index.ts';
import { isMet, needsOf, type ReadinessKeys } from './readiness.ts';

/** Messages of one direction. */
export interface SeenTraffic extends Aspects {
  readonly messages: number;
  /** The last day with one, such as `2026-11-30`; null without any. */
  readonly last: string | null;
}

/** What a partner says it can read, in mail that it signed (`smimeCapabilities`). */
export interface AnnouncedCiphers {
  /** By name, or as object identifiers; the preferred one first. */
  readonly ciphers: readonly string[];
  /** Time of signing, in milliseconds since the epoch. */
  readonly at: number;
}

export interface MatrixRow {
  readonly partner: string;
  readonly received: SeenTraffic;
  readonly sent: SeenTraffic;
  /** Messages whose counters say nothing to this version. */
  readonly unreadMessages: number;
  readonly announced: { readonly ciphers: string[]; readonly at: string } | null;
  readonly profiles: {
    readonly name: string;
    readonly meets: boolean;
    /** Ids of the rules that are missed. */
    readonly needs: string[];
    /** Why nothing could be sent on that day; null if it could. */
    readonly blocked: string | null;
  }[];
}

/** What is known of one partner. */
export interface SeenPartner {
  traffic: readonly Traffic[];
  unread: number;
  announced: AnnouncedCiphers | undefined;
}

/** Makes rows for the profiles of a book, with the rules of a day. */
export function matrixAt(
  book: ProfileBook,
  keys: ReadinessKeys,
  at: Date,
): (partner: PartnerConfig, seen: SeenPartner) => MatrixRow {
  const profiles = book.profiles.map((profile) => ({
    name: profile.name,
    rules: rulesAt(profile, at, book.dates),
  }));
  return (partner, { traffic, unread, announced }) => ({
    partner: partner.name,
    received: seenOf(traffic, 'inbound'),
    sent: seenOf(traffic, 'outbound'),
    unreadMessages: unread,
    announced: announced
      ? { ciphers: [...announced.ciphers], at: new Date(announced.at).toISOString() }
      : null,
    profiles: profiles.map(({ name, rules }) => {
      const needs = needsOf(partner, rules, keys, traffic, at);
      const must = needs.needs.filter(({ level }) => level === 'must');
      const needed = [...new Set(must.map(({ rule }) => rule.id))];
      return { name, meets: isMet(needs), needs: needed, blocked: needs.blocked ?? null };
    }),
  });
}

function seenOf(traffic: readonly Traffic[], direction: 'inbound' | 'outbound'): SeenTraffic {
  const those = traffic.filter(({ seen }) => seen.direction === direction);
  const days = those.map(({ last }) => last).sort();
  return {
    messages: those.reduce((sum, { messages }) => sum + messages, 0),
    last: days.at(-1) ?? null,
    ...aspectsOf(those, direction),
  };
}
