/** What becomes of a decoded message: the one answer, of all rules for its mailbox and partner. */
import type { MailboxConfig } from '../config/index.ts';
import type { ErrorCode } from '../errors.ts';
import { missedByMessage, type ProfileBook, rulesAt } from '../profile/index.ts';
import type { Used } from '../smime/index.ts';
import type { PartnerDirectory } from './directory.ts';
import { judge, type Requirements, type VerdictFacts } from './policy.ts';
import type { Shortfall } from './rules.ts';
import type { Sender } from './sender.ts';

/**
 * The code is the reason, the message is for the operator. `drop` ends the message, with a record; `refuse` as well, if
 * the partner can be told why. `lacks` is what a message that is accepted falls short of.
 */
export type Fate =
  | { readonly fate: 'accept'; readonly lacks: readonly Shortfall[] }
  | { readonly fate: 'suspend' | 'drop' | 'refuse'; readonly code: ErrorCode; readonly message: string };

type Rules = Requirements &
  Pick<MailboxConfig, 'unresolved' | 'minimumProfile'> & { readonly minimum: MinimumFacts };

/** Judges a message by what its verdict and its sender say, and by what `shortfallsOf` found; nothing is read again. */
export function assess(
  verdict: VerdictFacts,
  rules: Rules,
  sender: Sender,
  directory: Pick<PartnerDirectory, 'anyRequires'>,
  shortfalls: readonly Shortfall[],
): Fate {
  const judgement = judge(verdict, rules, sender, directory);
  const suspended: Fate | undefined =
    'suspend' in judgement
      ? { fate: 'suspend', code: judgement.suspend, message: judgement.message }
      : undefined;
  // What could not be decoded may be from anybody: the signature is inside.
  const isRead = verdict.status === 'ok' || verdict.error?.code === 'not-smime';
  if (!isRead && suspended !== undefined) return suspended;
  return (
    fateOfUnresolved(rules, sender) ??
    fateBy(shortfalls, 'refuse') ??
    suspended ??
    fateBy(shortfalls, 'suspend') ??
    belowMinimum(rules, sender) ?? { fate: 'accept', lacks: shortfalls }
  );
}

function fateBy(shortfalls: readonly Shortfall[], fate: 'refuse' | 'suspend'): Fate | undefined {
  const found = shortfalls.filter((each) => each.fate === fate);
  const [first] = found;
  return first && { fate, code: first.code, message: found.map(({ message }) => message).join('; ') };
}

/** Of a message that misses a profile which its mailbox, or a partner that it may be from, demands. */
function belowMinimum({ minimumProfile, minimum }: Rules, { claimed }: Sender): Fate | undefined {
  const message = missedMinimum(
    [minimumProfile, ...claimed.map((partner) => partner.minimumProfile)],
    minimum,
  );
  return message === undefined ? undefined : { fate: 'suspend', code: 'policy-profile', message };
}

/**
 * Of a message without a partner. A conflict is never dropped, because a partner is concerned: it may just use an
 * address that is not configured yet.
 */
function fateOfUnresolved({ unresolved }: Rules, { partner, by, fault }: Sender): Fate | undefined {
  if (unresolved === 'pass') return undefined;
  if (by === 'conflict' && fault !== undefined)
    return { fate: 'suspend', code: fault.code, message: fault.message };
  if (partner !== undefined) return undefined;
  const message = 'neither the signer nor the sender is a configured partner';
  return { fate: unresolved, code: 'partner-unknown', message };
}

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
