/** How changes are announced to people and programs, and the wording of it. */
import type { AlertChangeDocument } from '../documents/index.ts';
import type { AlertChange } from './types.ts';

const iso = (at: number) => new Date(at).toISOString();

const headings: Record<AlertChange['kind'], string> = {
  fired: 'NEW',
  worse: 'WORSE',
  reminder: 'STILL SO',
  cleared: 'BACK TO NORMAL',
  test: 'TEST',
};

/** The last change of each alert: what began and ended while a mail was waiting is announced once. */
function lastOfEach(changes: readonly AlertChange[]): AlertChange[] {
  const last = new Map<string, AlertChange>();
  for (const change of changes) {
    last.delete(change.alert.id);
    last.set(change.alert.id, change);
  }
  return [...last.values()];
}

const order = { critical: 0, warning: 1, info: 2 } as const;

/** Subject and body of a mail. */
export function mailText(changes: readonly AlertChange[], host: string): { subject: string; body: string } {
  const told = lastOfEach(changes);
  const of = (...kinds: AlertChange['kind'][]) =>
    told
      .filter(({ kind }) => kinds.includes(kind))
      .sort((a, b) => order[a.alert.severity] - order[b.alert.severity] || a.at - b.at);
  const bad = of('fired', 'worse');
  const [test, still, good] = [of('test'), of('reminder'), of('cleared')];
  const worst = bad.some(({ alert }) => alert.severity === 'critical') ? 'CRITICAL: ' : '';
  const parts = [
    ...(bad.length > 0 ? [`${worst}${plural(bad.length, 'alert')}`] : []),
    ...(still.length > 0 ? [`${plural(still.length, 'alert')} still so`] : []),
    ...(good.length > 0 ? [`${good.length} back to normal`] : []),
    ...(test.length > 0 ? ['test'] : []),
  ];
  const names = [...new Set([...bad, ...still, ...good].map(({ alert }) => alert.rule))];
  const about =
    names.length === 0 ? '' : ` (${names.slice(0, 5).join(', ')}${names.length > 5 ? ' ...' : ''})`;
  const blocks = [...test, ...bad, ...still, ...good].map(blockOf);
  return {
    subject: `Sealpost on ${host}: ${parts.join(', ')}${about}`,
    body: `${blocks.join('\n\n')}\n\n${footer(bad.length + still.length > 0)}`,
  };
}

function blockOf({ kind, at, alert }: AlertChange): string {
  const labels = Object.entries(alert.labels).map(([name, value]) => `${name} ${value}`);
  const about = [alert.rule, alert.severity, ...labels].join(', ');
  const lines = [
    `${headings[kind]}: ${alert.text}`,
    ...(alert.hint !== null && kind !== 'cleared' ? [`  what to do: ${alert.hint}`] : []),
    `  ${about}`,
    kind === 'cleared'
      ? `  from ${iso(alert.since)} to ${iso(at)}`
      : `  since ${iso(alert.since)}, alert ${alert.id}`,
  ];
  return lines.join('\n');
}

function footer(isBad: boolean): string {
  const what = isBad
    ? 'sealpost alerts list shows what holds now; sealpost alerts silence ID --for 4h --why TEXT silences one.'
    : 'sealpost alerts list shows what holds now.';
  return `-- \n${what}\n`;
}

/** A change as programs get it. */
export function changeDocument({ id, kind, at, alert }: AlertChange): AlertChangeDocument {
  const { since, firedAt, ...rest } = alert;
  return {
    id,
    kind,
    at: iso(at),
    alert: { ...rest, since: iso(since), firedAt: firedAt === null ? null : iso(firedAt) },
  };
}

/** Words that announcements are made of. */

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Milliseconds in words: `40 s`, `12 min`, `3 h`, `2 days`. */
export function agoText(ms: number): string {
  if (ms < 90_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 90 * 60_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} days`;
}
