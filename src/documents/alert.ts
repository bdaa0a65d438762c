/** Alerts, as the webhook of `alerts` and the HTTP API send them. */
import { z } from 'zod';
import { isoTime } from './fields.ts';

/** What is said of an alert. */
export const alertFields = {
  id: z.string().describe('The same as long as the alert lasts.'),
  rule: z.string().describe('Name of the rule.'),
  condition: z.string().describe('What is measured: see docs/alerts.md.'),
  severity: z.enum(['info', 'warning', 'critical']),
  state: z.enum(['pending', 'firing']).describe('pending: bad, but not for long enough yet.'),
  labels: z
    .record(z.string(), z.string())
    .describe('What it is about: mailbox, partner, reason, direction, destination, host, role, owner ...'),
  value: z.number().describe('In the unit of the condition; durations in milliseconds.'),
  text: z.string().describe('One sentence.'),
  hint: z.string().nullable().describe('What to do.'),
  since: isoTime.describe('Bad since.'),
  firedAt: isoTime.nullable(),
};

export const alertChange = z.object({
  id: z.string().describe('Place in the order of all changes.'),
  kind: z
    .enum(['fired', 'worse', 'reminder', 'cleared', 'test'])
    .describe('worse: another threshold was reached. cleared: back to normal.'),
  at: isoTime,
  alert: z.object(alertFields),
});
export type AlertChangeDocument = z.infer<typeof alertChange>;

/** The body that the webhook of `alerts` posts. */
export const alertsDocument = z
  .strictObject({ alerts: z.array(alertChange).min(1).describe('oldest first') })
  .describe('Changes of alerts, as the webhook of `alerts` posts them');
export type AlertsDocument = z.infer<typeof alertsDocument>;
