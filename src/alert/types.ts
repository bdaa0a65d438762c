/** What alerts are. */
import type { AlertCondition, AlertSeverity } from '../config/alert-conditions.ts';

/**
 * What an alert is about: `mailbox`, `partner`, `reason`, `direction`, `destination`, `host`, `role`, `certificate` ...
 */
export type Labels = Readonly<Record<string, string>>;

/** Something measured. */
export interface Sample {
  labels: Labels;
  /** In the unit of the condition; durations in milliseconds. */
  value: number;
  /** One sentence. */
  text: string;
  /** What to do. */
  hint?: string | undefined;
  /** Thresholds behind the first one, from the mildest: each of them is told once more. */
  steps?: readonly number[] | undefined;
  severity?: AlertSeverity | undefined;
}

/**
 * What is known of an alert, from the first bad value until it is told that all is well again. Times in milliseconds.
 */
export interface AlertState {
  /** Derived from the rule and the labels. */
  id: string;
  rule: string;
  condition: AlertCondition;
  severity: AlertSeverity;
  labels: Labels;
  value: number;
  text: string;
  hint: string | null;
  /** `pending`: not for long enough yet. */
  state: 'pending' | 'firing';
  /** Bad since. */
  since: number;
  firedAt: number | null;
  /** Good again since, while that is not for long enough. */
  goodSince: number | null;
  /** How many of the steps have been reached. */
  step: number;
  /** When it was told last; null: not yet, because it is silenced. */
  toldAt: number | null;
}

/** Something that is told. `test` is about nothing. */
export type ChangeKind = 'fired' | 'worse' | 'reminder' | 'cleared' | 'test';

export interface AlertChange {
  /** Place in the order of all changes. */
  id: string;
  kind: ChangeKind;
  at: number;
  alert: Omit<AlertState, 'goodSince' | 'toldAt' | 'step'>;
}

/** What a silence is about: alerts that have all of these. */
export interface SilenceMatch {
  /** Id of one alert. */
  alert?: string | undefined;
  rule?: string | undefined;
  mailbox?: string | undefined;
  partner?: string | undefined;
  reason?: string | undefined;
}

export interface Silence {
  id: string;
  match: SilenceMatch;
  from: number;
  until: number;
  by: string;
  why: string;
}

/** How a way to tell people works. */
export interface ChannelState {
  name: string;
  /** The last change that it took, and when. */
  position: string;
  at: number;
  /** What became of the last delivery: an id, or that it was taken. */
  outcome: string;
  trouble: { since: number; why: string } | null;
}
