/** Types of alerts. */
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
  /** Thresholds above the first one, the mildest first. Each is announced as it is reached. */
  steps?: readonly number[] | undefined;
  severity?: AlertSeverity | undefined;
}

/** What is known of an alert, from the first bad value until its end was announced. Times in milliseconds. */
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
  /** `pending`: it has not been bad for long enough yet. */
  state: 'pending' | 'firing';
  /** Since when it has been bad. */
  since: number;
  firedAt: number | null;
  /** Since when it has been good again, while that is not long enough. */
  goodSince: number | null;
  /** How many of the steps have been reached. */
  step: number;
  /** When it was last announced. Null: not yet, because it is silenced. */
  toldAt: number | null;
}

/** An announcement. `test` belongs to no alert. */
export type ChangeKind = 'fired' | 'worse' | 'reminder' | 'cleared' | 'test';

export interface AlertChange {
  /** Its place in the order of all changes. */
  id: string;
  kind: ChangeKind;
  at: number;
  alert: Omit<AlertState, 'goodSince' | 'toldAt' | 'step'>;
}

/** What a silence covers: alerts that have all of these. */
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

/** The state of a channel. */
export interface ChannelState {
  name: string;
  /** The last change that it delivered, and when. */
  position: string;
  at: number;
  /** The result of the last delivery: an id, or that it was taken. */
  outcome: string;
  trouble: { since: number; why: string } | null;
}
