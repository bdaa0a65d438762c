import { dayText, type Employed, nameOf, spanOf, type Term } from '../pki/index.ts';
import type { Report, SettingPath } from './problem.ts';

const dayLong = 86_400_000;
const beginOfDay = (date: Date) => Math.floor(date.getTime() / dayLong) * dayLong;

/**
 * Refuses a term that lies outside of the validity of its certificate. A term that is written in days may begin at
 * midnight of the day on which the validity begins, and end with the day on which it ends.
 */
export function checkTerm(
  { certificate, ...term }: Pick<Employed, 'certificate'> & Term,
  at: SettingPath,
  report: Report,
): void {
  const { from, until } = term;
  const { notBefore } = certificate;
  const { until: end } = spanOf(certificate, {});
  const validity = `${nameOf(certificate)} is valid from ${dayText(notBefore)} until ${dayText(end)}`;
  const hint = 'write a time within its validity, or remove the setting';
  const lastMidnight = Math.ceil(end.getTime() / dayLong) * dayLong;
  const isOutside = {
    from: (time: number) => time >= end.getTime(),
    until: (time: number) => time > lastMidnight,
  };
  for (const [name, moment] of [
    ['from', from],
    ['until', until],
  ] as const)
    if (
      moment !== undefined &&
      (moment.getTime() < beginOfDay(notBefore) || isOutside[name](moment.getTime()))
    )
      report([...at, name], `${dayText(moment)} is outside of the certificate's validity: ${validity}`, {
        hint,
      });
  if (from !== undefined && until !== undefined && from >= until)
    report([...at, 'until'], `${dayText(until)} is not after from, ${dayText(from)}`, {
      hint: 'until is the first moment at which the certificate is no longer used',
    });
}
