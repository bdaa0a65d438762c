import { dayText, spanOf, type Term } from '../pki/index.ts';
import type { Report, SettingPath } from './problem.ts';

const dayLong = 86_400_000;
const beginOfDay = (date: Date) => Math.floor(date.getTime() / dayLong) * dayLong;

/** A certificate with its validity and its term, and a name for messages. */
export interface Dated extends Term {
  readonly name: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Refuses a term that lies outside of the validity of its certificate. A term that is written in days may begin at
 * midnight of the day on which the validity begins, and end with the day on which it ends.
 */
export function checkTerm(
  { name, notBefore, notAfter, from, until }: Dated,
  at: SettingPath,
  report: Report,
): void {
  const { until: end } = spanOf({ notBefore, notAfter }, {});
  const validity = `${name} is valid from ${dayText(notBefore)} until ${dayText(end)}`;
  const hint = 'write a time within its validity, or remove the setting';
  const lastMidnight = Math.ceil(end.getTime() / dayLong) * dayLong;
  const isOutside = {
    from: (time: number) => time >= end.getTime(),
    until: (time: number) => time > lastMidnight,
  };
  for (const [setting, moment] of [
    ['from', from],
    ['until', until],
  ] as const)
    if (
      moment !== undefined &&
      (moment.getTime() < beginOfDay(notBefore) || isOutside[setting](moment.getTime()))
    )
      report([...at, setting], `${dayText(moment)} is outside of the certificate's validity: ${validity}`, {
        hint,
      });
  if (from !== undefined && until !== undefined && from >= until)
    report([...at, 'until'], `${dayText(until)} is not after from, ${dayText(from)}`, {
      hint: 'until is the first moment at which the certificate is no longer used',
    });
}
