/**
 * Replay: what was suspended because a certificate or key was missing goes on when that has come. Each message is
 * judged again by its own step then: policy, recipients, expiry and certificates are those of that moment.
 */
import type { Standing, Waiting } from '../certstore/index.ts';
import { type Config, type PartnerConfig, partnerKey, strayOf } from '../config/index.ts';
import { SealpostError, waitsFor } from '../errors.ts';
import {
  type Act,
  type Held,
  type Ledger,
  mostReplays,
  type ReplayBudget,
  type Replays,
} from '../queue/index.ts';

export interface ReplayParts {
  replays: Replays;
  ledger: Pick<Ledger, 'get'>;
  config: Pick<Config, 'partners'>;
  /** Undefined for what the deciding process has not looked at yet. */
  standing: (waiting: Waiting) => Standing | undefined | Promise<Standing>;
}

export interface ReplayOptions {
  direction: Held['direction'];
  act: Act;
  /** A person does it, so neither the delay nor the budget of the day counts. */
  person: boolean;
  budget?: ReplayBudget;
  /** Only messages that are to be looked at. */
  only?: (held: Held) => boolean;
  /** Nothing is done. */
  dryRun?: boolean;
  /** Awaited after each batch; false ends the run. */
  next?: () => Promise<boolean>;
}

/** What became of a message that waits, or would. */
export interface ReplayedMessage {
  id: string;
  direction: Held['direction'];
  reason: string;
  mailbox: string | null;
  partner: string | null;
  /** It is put back to work. */
  replayed: boolean;
  why: string;
}

/** Messages between two looks at how much waits: fresh mail comes between them. */
export const replayBatch = 50;

/** Whether a message is put back to work, with the digest that it is then marked with, and why. */
export function decideReplay(
  held: Held,
  standing: Standing | undefined,
  person: boolean,
): { keys?: string; why: string } {
  const { direction, mailbox, partner, times } = held;
  if (times >= mostReplays) return { why: `was replayed ${times} times: decode or resume it by its id` };
  if (standing === undefined) return { why: 'the daemon has not looked at it yet' };
  const { now, settled, lack, lackNow } = standing;
  if (lackNow !== null) return { why: lackNow };
  if (held.keys === now) return { why: 'nothing has changed since it was judged' };
  if (!person && (lack !== null || held.keys === settled))
    return { why: 'waits until what a rule approved has stood for retry.onKeys.delay' };
  const keys = person ? now : settled;
  if (direction === 'outbound') return { keys, why: `mail to partner ${partner ?? ''} can be protected` };
  if (waitsFor(held.reason) === 'key') return { keys, why: `mailbox ${mailbox ?? ''} has other keys` };
  const whose = partner === null ? 'of partners or authorities' : `of partner ${partner} or of authorities`;
  return { keys, why: `certificates ${whose} have changed` };
}

/**
 * Goes through what waits, oldest first, so mail to a partner leaves in the order in which it was submitted. Errors:
 * `redis-unreachable`, `redis-full`; what fails with one message is said of that one.
 */
export async function* replayMessages(
  parts: ReplayParts,
  options: ReplayOptions,
): AsyncGenerator<ReplayedMessage> {
  const { direction, person, act, budget, only, dryRun = false, next } = options;
  const full = new Set<string | null>();
  let count = 0;
  for await (const held of parts.replays.held(direction)) {
    if (only?.(held) === false) continue;
    const { id, reason, mailbox, partner } = held;
    const said = { id, direction, reason, mailbox, partner };
    const decision = decideReplay(held, await parts.standing(held), person);
    const not = decision.keys === undefined ? decision.why : await strayRecipient(parts, held);
    if (decision.keys === undefined || not !== undefined) {
      yield { ...said, replayed: false, why: not ?? decision.why };
      continue;
    }
    if (full.has(partner)) {
      yield { ...said, replayed: false, why: budgetOver };
      continue;
    }
    if (dryRun) {
      yield { ...said, replayed: true, why: decision.why };
      continue;
    }
    const why = act.why ?? `replay: ${decision.why}`;
    const error = await released(parts, held, decision.keys, { ...act, why }, budget);
    if (error === budgetOver) full.add(partner);
    yield { ...said, replayed: error === undefined, why: error ?? decision.why };
    count += 1;
    if (count % replayBatch === 0 && next && !(await next())) return;
  }
}

const budgetOver = 'as many were replayed today as retry.onKeys allows';

/** Why it was not released. */
async function released(
  { replays }: ReplayParts,
  held: Held,
  keys: string,
  act: Act,
  budget: ReplayBudget | undefined,
): Promise<string | undefined> {
  try {
    const result = await replays.release(held, keys, act, budget);
    if (result === 'released') return undefined;
    return result === 'full' ? budgetOver : 'has moved on meanwhile';
  } catch (error) {
    if (!(error instanceof SealpostError) || error.code.startsWith('redis-')) throw error;
    return `${error.message} [${error.code}]`;
  }
}

/** A recipient of outbound mail may have left its partner while the mail waited. */
async function strayRecipient({ ledger, config }: ReplayParts, held: Held): Promise<string | undefined> {
  if (held.direction === 'inbound') return undefined;
  const record = await ledger.get(held.id);
  const partner = partnerOf(config, held.partner ?? '');
  const stray = record ? strayOf(partner ?? { addresses: [] }, record.envelope.to) : undefined;
  return stray === undefined ? undefined : `${stray} is no longer an address of the partner`;
}

const byKey = new WeakMap<object, ReadonlyMap<string, PartnerConfig>>();

function partnerOf(config: Pick<Config, 'partners'>, key: string): PartnerConfig | undefined {
  const known = byKey.get(config) ?? new Map(config.partners.map((each) => [partnerKey(each), each]));
  byKey.set(config, known);
  return known.get(key);
}
