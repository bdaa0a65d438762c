/** Profiles as a minimum for inbound mail. */
import { missedByMessage, type ProfileBook, rulesAt } from '../profile/index.ts';
import type { Used } from '../smime/index.ts';

/** What is judged, and by which profiles. */
export interface MinimumFacts {
  readonly profiles: Pick<ProfileBook, 'get' | 'dates'>;
  /** What protected the message; undefined if nothing did. */
  readonly used: Used | undefined;
  /** When it is judged. */
  readonly at: Date;
}

/**
 * The first rule that a message misses, in words for the operator; undefined if it meets every profile that is named.
 */
export function missedMinimum(
  names: readonly (string | undefined)[],
  { profiles, used = { layers: [], headerProtection: false }, at }: MinimumFacts,
): string | undefined {
  for (const name of new Set(names)) {
    const profile = name === undefined ? undefined : profiles.get(name);
    if (profile === undefined) continue;
    const rules = rulesAt(profile, at, profiles.dates).filter(({ level }) => level === 'must');
    const [missed] = missedByMessage(rules, { direction: 'inbound', used });
    if (missed === undefined) continue;
    const { says, source, id } = missed.rule;
    return `profile ${profile.name}, rule ${id}: ${missed.found}. ${says} (${source.document}, ${source.version})`;
  }
  return undefined;
}
