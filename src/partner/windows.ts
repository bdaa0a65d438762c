/**
 * When mail may leave for a partner. The wall clock decides: a window is open while the clock of its time zone shows a
 * time in it. So a window within an hour that daylight saving time skips does not open on that day, one that begins in
 * it opens when the clocks have gone forward, and one within the hour that comes twice opens twice.
 */
import { Temporal } from 'temporal-polyfill';
import type { PartnerConfig } from '../config/index.ts';

export type Windows = NonNullable<PartnerConfig['windows']>;
type Open = Windows['open'][number];

/** Days that are searched for the next opening: a window on one day of the week, with a year of `closed`. */
const farthest = 400;
const minutesOfDay = 1440;
/** Monday is 1 in ISO 8601. */
const dayNames = ['', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/**
 * When the windows are open next, in milliseconds since the epoch: `now` if one is open, null if none ever is again.
 *
 * @param now milliseconds since the epoch
 */
export function opensAt(windows: Windows, now: number): number | null {
  const { timeZone } = windows;
  const start = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(timeZone);
  if (isOpen(windows, start)) return now;
  const first = start.toPlainDate();
  for (const date of datesFrom(windows, first)) {
    for (const at of mayOpen(windows, date)) {
      if (at <= now) continue;
      const zoned = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone);
      if (isOpen(windows, zoned)) return at;
    }
  }
  return null;
}

function isOpen({ open, closed }: Windows, at: Temporal.ZonedDateTime): boolean {
  const today = at.toPlainDate();
  if (closed.includes(today.toString())) return false;
  const minute = at.hour * 60 + at.minute;
  return open.some((window) => {
    const [from, to] = spanOf(window);
    if (begins(window, today) && minute >= from && minute < to) return true;
    return begins(window, today.subtract({ days: 1 })) && minute < to - minutesOfDay;
  });
}

/** Minutes of the day on which it begins; the end may be on the next day. */
function spanOf({ from, to }: Open): [from: number, to: number] {
  const [begin, end] = [minutesOf(from), minutesOf(to)];
  return [begin, end > begin ? end : end + minutesOfDay];
}

function minutesOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
}

function begins({ days, dates }: Open, date: Temporal.PlainDate): boolean {
  if (dates !== undefined) return dates.includes(date.toString());
  return days === undefined || days.some((day) => day === dayNames[date.dayOfWeek]);
}

/** Days on which something may open, in order. */
function* datesFrom({ open }: Windows, first: Temporal.PlainDate): Generator<Temporal.PlainDate> {
  for (let day = 0; day < farthest; day++) yield first.add({ days: day });
  const last = first.add({ days: farthest - 1 }).toString();
  // Each may be open beyond its midnight.
  const later = new Set(open.flatMap(({ dates = [] }) => dates).flatMap((date) => [date, dayAfter(date)]));
  for (const date of [...later].filter((each) => each > last).sort()) yield Temporal.PlainDate.from(date);
}

function dayAfter(date: string): string {
  return Temporal.PlainDate.from(date).add({ days: 1 }).toString();
}

/** Moments of a day at which a window may open, in order: beginnings, midnight after `closed`, changes of the clock. */
function mayOpen({ open, timeZone }: Windows, date: Temporal.PlainDate): number[] {
  const moments = new Set<number>();
  for (const clock of ['00:00', ...open.map(({ from }) => from)]) {
    const local = date.toPlainDateTime(Temporal.PlainTime.from(clock));
    for (const disambiguation of ['earlier', 'later'] as const)
      moments.add(local.toZonedDateTime(timeZone, { disambiguation }).epochMilliseconds);
  }
  const midnight = date.toZonedDateTime(timeZone);
  const change = midnight.getTimeZoneTransition('next');
  if (change?.toPlainDate().equals(date)) moments.add(change.epochMilliseconds);
  return [...moments].sort((a, b) => a - b);
}
