/** Whether a value is bad, and what follows from that over time. Nothing here reads a clock or a store. */
import { createHash } from 'node:crypto';
import { factsOfCondition } from '../config/alert-conditions.ts';
import type { AlertRule } from '../config/alert-rules.ts';
import type { AlertState, ChangeKind, Labels, Sample } from './types.ts';

export interface Judged {
  /** Undefined: nothing is wrong, and there is nothing to remember. */
  state: AlertState | undefined;
  /** What to announce. */
  change?: Exclude<ChangeKind, 'test'>;
}

export interface JudgeOptions {
  now: number;
  /** A person has silenced it. */
  silenced: boolean;
  /** After this many milliseconds, an alert that lasts is announced again. 0: never. */
  repeat: number;
}

export function alertId(rule: string, labels: Labels): string {
  const parts = Object.entries(labels)
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([rule.toLowerCase(), parts]))
    .digest('hex')
    .slice(0, 12);
}

const isBad = (rule: AlertRule, value: number) =>
  factsOfCondition(rule.condition).bad === 'above' ? value > rule.threshold : value < rule.threshold;

const isGood = (rule: AlertRule, value: number) =>
  factsOfCondition(rule.condition).bad === 'above' ? value <= rule.clear : value >= rule.clear;

/**
 * Judges one alert in one round.
 *
 * @param before its state after the last round
 * @param sample undefined: there is nothing of the kind any more, which is good
 */
export function judge(
  rule: AlertRule,
  before: AlertState | undefined,
  sample: Sample | undefined,
  { now, silenced, repeat }: JudgeOptions,
): Judged {
  const bad = sample !== undefined && isBad(rule, sample.value);
  if (!bad) {
    if (before === undefined || before.state === 'pending') return { state: undefined };
    return ending(rule, before, sample, now);
  }
  const step = sample.steps?.filter((each) => sample.value <= each).length ?? 0;
  const known = {
    severity: sample.severity ?? rule.severity,
    ...{ labels: sample.labels, value: sample.value, text: sample.text, hint: sample.hint ?? null },
  };
  const kept: AlertState = before ?? {
    ...{ id: alertId(rule.name, sample.labels), rule: rule.name, condition: rule.condition, ...known },
    ...{ state: 'pending', since: now, firedAt: null, goodSince: null, step, toldAt: null },
  };
  // A clock that was set back must not prolong the wait.
  const since = Math.min(kept.since, now);
  const state: AlertState = { ...kept, ...known, since, goodSince: null };
  if (state.state === 'pending') {
    if (now - since < rule.for) return { state };
    state.state = 'firing';
    state.firedAt = now;
  }
  if (silenced) return { state };
  if (state.toldAt === null) return { state: { ...state, step, toldAt: now }, change: 'fired' };
  if (step > kept.step) return { state: { ...state, step, toldAt: now }, change: 'worse' };
  const told = Math.min(state.toldAt, now);
  if (repeat > 0 && now - told >= repeat) return { state: { ...state, toldAt: now }, change: 'reminder' };
  return { state: { ...state, toldAt: told } };
}

/** It is no longer bad. Whether it is good, and for long enough, is decided below. */
function ending(rule: AlertRule, before: AlertState, sample: Sample | undefined, now: number): Judged {
  const known = sample === undefined ? {} : { value: sample.value, text: sample.text };
  if (sample !== undefined && !isGood(rule, sample.value))
    return { state: { ...before, ...known, goodSince: null } };
  const goodSince = Math.min(before.goodSince ?? now, now);
  if (now - goodSince < rule.clearFor) return { state: { ...before, ...known, goodSince } };
  return {
    state: undefined,
    // If the beginning was not announced, neither is the end.
    ...(before.toldAt !== null && { change: 'cleared' }),
  };
}
