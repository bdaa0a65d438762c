/** The alert rules in force: the default ones, as changed by the configuration, and those that it adds. */
import {
  type AlertCondition,
  type AlertGroup,
  type AlertSeverity,
  defaultAlertRules,
  factsOfCondition,
  type WrittenRule,
} from './alert-conditions.ts';
import type { Report, SettingPath } from './problem.ts';
import type { Config } from './schema.ts';
import { readDuration } from './unit-text.ts';

export interface AlertRule {
  readonly name: string;
  readonly condition: AlertCondition;
  /** In the unit of the condition. A duration is in milliseconds. */
  readonly threshold: number;
  readonly clear: number;
  /** Milliseconds. */
  readonly for: number;
  readonly clearFor: number;
  readonly by: readonly AlertGroup[];
  readonly only: {
    readonly partners?: readonly string[] | undefined;
    readonly mailboxes?: readonly string[] | undefined;
    readonly reasons?: readonly string[] | undefined;
  };
  readonly least: number;
  readonly severity: AlertSeverity;
  readonly origin: 'default' | 'changed' | 'own';
}

type AlertConfig = Pick<Config, 'alerts' | 'expiry'>;

const sameName = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

/** The rules in force. */
export function alertRulesOf(config: AlertConfig): AlertRule[] {
  const { rules } = config.alerts;
  const known = defaultAlertRules.flatMap((rule) => {
    const changed = rules.find(({ name }) => sameName(name, rule.name));
    return made(
      { ...rule, ...given(changed), name: rule.name },
      rule.condition,
      changed ? 'changed' : 'default',
      config,
    );
  });
  const own = rules.filter(({ name }) => !defaultAlertRules.some((rule) => sameName(name, rule.name)));
  return [
    ...known,
    ...own.flatMap((rule) => {
      if (rule.condition === undefined) return [];
      const like = defaultAlertRules.find(({ condition }) => condition === rule.condition);
      return made({ ...like, ...given(rule), name: rule.name }, rule.condition, 'own', config);
    }),
  ];
}

/** What is written, without fields that are left out. A threshold that is written replaces both default ones. */
function given(rule: WrittenRule | undefined): Partial<WrittenRule> {
  if (rule === undefined) return {};
  const written = Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined));
  const threshold = rule.above ?? rule.below;
  return threshold === undefined || rule.clear !== undefined ? written : { ...written, clear: threshold };
}

function made(
  rule: WrittenRule,
  condition: AlertCondition,
  origin: AlertRule['origin'],
  { expiry }: AlertConfig,
): AlertRule[] {
  if (rule.off === true) return [];
  const { bad } = factsOfCondition(condition);
  const written = bad === 'above' ? rule.above : rule.below;
  const days = condition === 'certificate' ? Math.max(...expiry.days) : undefined;
  const threshold = numberOf(condition, written) ?? days;
  if (threshold === undefined) return [];
  const { name, by = [], only = {}, least = 0, severity = 'warning' } = rule;
  return [
    {
      ...{ name, condition, threshold, by, only, least, severity, origin },
      clear: numberOf(condition, rule.clear) ?? threshold,
      for: rule.for ?? 0,
      clearFor: rule.clearFor ?? 0,
    },
  ];
}

/** A value in the unit of a condition; undefined if it does not have that unit. */
function numberOf(condition: AlertCondition, written: number | string | undefined): number | undefined {
  if (written === undefined) return undefined;
  if (factsOfCondition(condition).unit === 'duration')
    return typeof written === 'string' ? readDuration(written) : undefined;
  return typeof written === 'number' ? written : undefined;
}

/** The role that looks after alerts: a hand-off process, or an outbound one if nothing is handed off. */
export function alertRoleOf({
  mailboxes,
  partners,
}: Pick<Config, 'mailboxes' | 'partners'>): 'handoff' | 'outbound' {
  return mailboxes.length > 0 || partners.some(({ onSuspend }) => onSuspend) ? 'handoff' : 'outbound';
}

/** What the schema cannot express about the settings of alerts. */
export function checkAlerts(config: Config, report: Report): void {
  const { alerts, partners } = config;
  const seen = new Set<string>();
  alerts.rules.forEach((rule, index) => {
    const at: SettingPath = ['alerts', 'rules', index];
    if (seen.has(rule.name.toLowerCase()))
      report([...at, 'name'], `rule ${rule.name} is a duplicate`, { hint: 'give it another name' });
    seen.add(rule.name.toLowerCase());
    checkRule(rule, at, report);
  });
  const { mail } = alerts;
  if (mail === undefined) return;
  const partner = partners.find(({ name }) => sameName(name, mail.partner));
  if (partner === undefined) {
    report(['alerts', 'mail', 'partner'], `there is no partner ${mail.partner}`, {
      hint: 'write a partner for the people who get alerts, with the route that their mail takes',
    });
    return;
  }
  if (partner.from === undefined && mail.from === undefined)
    report(['alerts', 'mail', 'from'], `is missing, and partner ${partner.name} has no from`, {
      hint: 'write an address of yours',
    });
}

function checkRule(rule: WrittenRule, at: SettingPath, report: Report): void {
  const known = defaultAlertRules.find(({ name }) => sameName(name, rule.name));
  const condition = rule.condition ?? known?.condition;
  if (condition === undefined) {
    const hint = `write one, or use the name of a rule that there is: ${defaultAlertRules.map(({ name }) => name).join(', ')}`;
    report([...at, 'condition'], 'is missing', { hint });
    return;
  }
  if (known !== undefined && rule.condition !== undefined && rule.condition !== known.condition)
    report([...at, 'condition'], `rule ${known.name} is about ${known.condition}`, {
      hint: 'give it another name',
    });
  const { unit, bad, grouped } = factsOfCondition(condition);
  const other = bad === 'above' ? 'below' : 'above';
  if (rule[other] !== undefined)
    report([...at, other], `${condition} is bad ${bad} a threshold`, { hint: `write ${bad}` });
  const example = unit === 'duration' ? '30m' : '10';
  for (const key of [bad, 'clear'] as const)
    if (rule[key] !== undefined && numberOf(condition, rule[key]) === undefined)
      report([...at, key], `is not a ${unit === 'duration' ? 'duration' : 'number'}`, {
        hint: `write it as ${example}`,
      });
  const [threshold, clear] = [numberOf(condition, rule[bad]), numberOf(condition, rule.clear)];
  if (
    threshold !== undefined &&
    clear !== undefined &&
    (bad === 'above' ? clear > threshold : clear < threshold)
  )
    report([...at, 'clear'], 'is on the bad side of the threshold', { hint: `write ${rule[bad]} or better` });
  if (!grouped)
    for (const key of ['by', 'only'] as const)
      if (rule[key] !== undefined && (key === 'by' || rule.only?.reasons !== undefined))
        report([...at, key], `${condition} cannot be divided so`, { hint: 'leave it out' });
}
