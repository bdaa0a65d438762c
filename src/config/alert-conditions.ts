/**
 * What alerts can be about, and the default rules. Only data: what is measured for each condition is in `src/alert/`.
 */

/** `count`, `days`, `times` and `percent` are numbers; `duration` is written like `30m`. */
export type AlertUnit = 'count' | 'days' | 'times' | 'percent' | 'duration';

export const alertGroups = ['direction', 'mailbox', 'partner', 'reason'] as const;
export type AlertGroup = (typeof alertGroups)[number];

export const alertSeverities = ['info', 'warning', 'critical'] as const;
export type AlertSeverity = (typeof alertSeverities)[number];

interface ConditionFacts {
  readonly unit: AlertUnit;
  /** The side of the threshold on which a value is bad. */
  readonly bad: 'above' | 'below';
  /** What is measured. */
  readonly what: string;
  /** Whether it can be grouped (`by`) and narrowed (`only`). */
  readonly grouped?: true;
  /** Milliseconds between two looks, if every round would be too often. */
  readonly every?: number;
}

export const alertConditions = {
  suspended: {
    ...{ unit: 'count', bad: 'above', grouped: true },
    what: 'messages that wait for a person',
  },
  waiting: {
    ...{ unit: 'duration', bad: 'above', grouped: true },
    what: 'age of the oldest message that has neither reached its end nor is suspended; time until it may leave does not count',
  },
  overdue: {
    ...{ unit: 'duration', bad: 'above', grouped: true },
    what: 'how long a message could go on, and has not: nothing works on it, though its route is neither known to be down nor paused',
  },
  mailbox: { unit: 'duration', bad: 'above', what: 'how long an IMAP folder has not been read' },
  route: {
    unit: 'duration',
    bad: 'above',
    what: "how long a partner's route or a destination has been down",
  },
  role: { unit: 'duration', bad: 'above', what: 'how long no process of a role has given a sign of life' },
  trouble: {
    ...{ unit: 'duration', bad: 'above' },
    what: 'how long something else of a process fails: a drop folder, the webhook of events or of alerts, a directory, the store of certificates',
  },
  refusing: { unit: 'count', bad: 'above', what: 'processes that accept nothing new' },
  certificate: {
    ...{ unit: 'days', bad: 'below', every: 60_000 },
    what: 'days until a certificate, an authority or a revocation list ends with nothing in its place',
  },
  disk: { unit: 'times', bad: 'below', what: 'free space of a disk, as a multiple of limits.diskFree' },
  memory: { unit: 'percent', bad: 'above', what: 'memory of Redis, in percent of limits.redisMemory' },
  silent: {
    ...{ unit: 'duration', bad: 'above', every: 600_000 },
    what: 'how long nothing has come from a partner that sent at this time of each of the last two weeks, and on most days of the last one',
  },
  failures: {
    ...{ unit: 'times', bad: 'above' },
    what: 'failed attempts and suspended messages of the last hour, as a multiple of those in the same hour of last week',
  },
} as const satisfies Record<string, ConditionFacts>;

export type AlertCondition = keyof typeof alertConditions;

export function isAlertCondition(name: string): name is AlertCondition {
  return Object.hasOwn(alertConditions, name);
}

/** Names of all conditions, for the schema. */
export const alertConditionNames: readonly AlertCondition[] =
  Object.keys(alertConditions).filter(isAlertCondition);

export const factsOfCondition = (name: AlertCondition): ConditionFacts => alertConditions[name];

/** A rule as written. */
export interface WrittenRule {
  readonly name: string;
  readonly condition?: AlertCondition | undefined;
  /** The value from which it is bad. Which of the two applies depends on the condition. */
  readonly above?: number | string | undefined;
  readonly below?: number | string | undefined;
  /** The value at which it is good again. Default: the threshold. */
  readonly clear?: number | string | undefined;
  /** How long it must be bad, or good again, in milliseconds. */
  readonly for?: number | undefined;
  readonly clearFor?: number | undefined;
  readonly by?: readonly AlertGroup[] | undefined;
  readonly only?:
    | {
        readonly partners?: readonly string[] | undefined;
        readonly mailboxes?: readonly string[] | undefined;
        readonly reasons?: readonly string[] | undefined;
      }
    | undefined;
  /** For `failures`: with fewer than this in the last hour, there is no alert. */
  readonly least?: number | undefined;
  readonly severity?: AlertSeverity | undefined;
  readonly off?: boolean | undefined;
}

const minute = 60_000;

/** The rules that apply unless the configuration changes them or turns them off. */
export const defaultAlertRules: readonly (WrittenRule & { condition: AlertCondition })[] = [
  { name: 'suspended', condition: 'suspended', above: 0, by: ['direction', 'mailbox', 'partner', 'reason'] },
  {
    ...{ name: 'many-suspended', condition: 'suspended', above: 100, clear: 50, by: [] },
    severity: 'critical',
  },
  {
    ...{ name: 'waiting', condition: 'waiting', above: '30m', clear: '10m' },
    by: ['direction', 'mailbox', 'partner'],
  },
  {
    ...{ name: 'overdue', condition: 'overdue', above: '1h', clear: '10m' },
    by: ['direction', 'mailbox', 'partner'],
  },
  { name: 'mailbox', condition: 'mailbox', above: '10m' },
  { name: 'route', condition: 'route', above: '10m' },
  { name: 'role', condition: 'role', above: '2m', severity: 'critical' },
  { name: 'trouble', condition: 'trouble', above: '10m' },
  { name: 'refusing', condition: 'refusing', above: 0, for: minute, clearFor: minute, severity: 'critical' },
  { name: 'certificate', condition: 'certificate' },
  { name: 'disk', condition: 'disk', below: 2, clear: 2.5, severity: 'critical' },
  { name: 'memory', condition: 'memory', above: 90, clear: 80, severity: 'critical' },
  { name: 'silent', condition: 'silent', above: '26h' },
  { name: 'failures', condition: 'failures', above: 3, clear: 2, least: 10, for: 5 * minute },
];
