/** When mail may leave for a partner. */
import { z } from 'zod';
import { duration } from './units.ts';

/** Days of the week as they are written, Monday first (ISO 8601). */
export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const clock = (what: string) => z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, what);
const date = () =>
  z.string().refine((text) => isDate(text), {
    error: 'is not a date: write a day of the calendar such as 2026-12-24',
  });

function isDate(text: string): boolean {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

function isZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }) !== undefined;
  } catch {
    return false;
  }
}

const windows = z.strictObject({
  timeZone: z
    .string()
    .refine((text) => isZone(text), { error: 'is not a time zone: write a name such as Europe/Berlin' })
    .default('UTC')
    .describe('Time zone of the windows, including its daylight saving time.'),
  open: z
    .array(
      z.strictObject({
        days: z
          .array(z.enum(weekdays))
          .min(1)
          .optional()
          .describe('Days on which the window begins. Default: every day.'),
        dates: z
          .array(date())
          .min(1)
          .optional()
          .describe('Dates on which the window begins, instead of days.'),
        from: clock('is not a time of day: write 00:00 to 23:59')
          .default('00:00')
          .describe('When the window begins.'),
        to: z
          .string()
          .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, 'is not a time of day: write 00:00 to 24:00')
          .default('24:00')
          .describe('When the window ends. If this is not later than from, it ends on the next day.'),
      }),
    )
    .min(1)
    .describe('When mail is sent to the partner. Outside of all windows it waits.'),
  closed: z.array(date()).default([]).describe('Dates on which nothing is sent, from midnight to midnight.'),
});

export type Windows = z.output<typeof windows>;

/** A second route. */
export function backupSettings<Route extends z.ZodType>(route: Route) {
  return z
    .strictObject({
      failures: z
        .number()
        .int()
        .min(1)
        .default(3)
        .describe('Failures of the first route in a row after which the backup is used.'),
      time: duration('1s')
        .prefault('10m')
        .describe('How long the first route may fail before the backup is used, whichever comes first.'),
      route: route.describe(
        'The backup, with the settings of route: another host or a smarthost. Its TLS must not be weaker than that of route.',
      ),
    })
    .optional()
    .describe('Another way to the partner for when the first one is down.');
}

/** The settings of a partner that say when its mail leaves. */
export const sendingSettings = {
  order: z
    .enum(['any', 'stop', 'skip'])
    .default('any')
    .describe(
      'any: messages are sent concurrently. stop, skip: those of one client are sent one after the other, in the order in which they were accepted. A suspended message stops those behind it until you resume or terminate it (stop), or is left behind (skip).',
    ),
  windows: windows
    .optional()
    .describe('Service windows: mail is sent only while the clock of the time zone is in one of them.'),
};
