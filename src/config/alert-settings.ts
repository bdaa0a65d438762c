/** Alerts: what people are told, and how. */
import { z } from 'zod';
import { alertConditionNames, alertGroups, alertSeverities } from './alert-conditions.ts';
import { eventsSettings } from './api-settings.ts';
import { duration } from './units.ts';

const threshold = () => z.union([z.number().min(0), z.string()]);

const rule = (name: () => z.ZodString) =>
  z.strictObject({
    name: name().describe(
      'Name of the rule. The name of an existing rule (sealpost alerts rules) changes that rule.',
    ),
    condition: z
      .enum(alertConditionNames)
      .optional()
      .describe('What is measured: see docs/alerts.md. Needed for a rule of your own.'),
    above: threshold()
      .optional()
      .describe(
        'The value above which it is bad: a number, or a duration such as 30m, depending on the condition.',
      ),
    below: threshold().optional().describe('The value below which it is bad.'),
    clear: threshold()
      .optional()
      .describe(
        'The value at which it is good again. Between the two, nothing changes. Default: the threshold.',
      ),
    for: duration().optional().describe('How long it must be bad before there is an alert.'),
    clearFor: duration().optional().describe('How long it must be good again before the alert ends.'),
    by: z
      .array(z.enum(alertGroups))
      .max(4)
      .optional()
      .describe(
        'For suspended, waiting and overdue: a separate alert for each mailbox, partner and so on. []: one for all.',
      ),
    only: z
      .strictObject({
        partners: z.array(z.string()).optional().describe('Names of partners.'),
        mailboxes: z.array(z.string()).optional().describe('Names of mailboxes.'),
        reasons: z.array(z.string()).optional().describe('Reason codes.'),
      })
      .optional()
      .describe('What the rule is about. Default: everything.'),
    least: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe('For failures: with fewer in an hour, there is no alert.'),
    severity: z
      .enum(alertSeverities)
      .optional()
      .describe('How serious it is. Default: that of its condition.'),
    off: z.boolean().optional().describe('Turns the rule off.'),
  });

export const alertSettings = (kinds: {
  name: () => z.ZodString;
  secret: () => z.ZodType<{ file: string } | { env: string }>;
  path: () => z.ZodString;
}) =>
  z
    .strictObject({
      enabled: z.boolean().default(true).describe('Whether the rules are evaluated.'),
      every: duration('1s').prefault('30s').describe('How often they are evaluated.'),
      rules: z
        .array(rule(kinds.name))
        .max(100)
        .default([])
        .describe('Your own rules, and changes to the default ones.'),
      repeat: duration()
        .prefault('24h')
        .describe('How often a lasting alert is told again. 0s: it is told only once.'),
      mail: z
        .strictObject({
          partner: kinds
            .name()
            .describe(
              'The partner whose mail this is: an entry for the people who operate Sealpost, with its addresses, its route, and how it is protected.',
            ),
          to: z
            .array(z.string())
            .min(1)
            .max(20)
            .optional()
            .describe('Addresses of that partner. Default: its first one.'),
          from: z.string().optional().describe('Address in From. Default: from of the partner.'),
          gather: duration()
            .prefault('1m')
            .describe('How long a mail waits for further alerts, so that they come together.'),
          perHour: z
            .number()
            .int()
            .min(1)
            .default(12)
            .describe(
              'Maximum number of mails per hour. Further alerts wait for the next one; none is lost.',
            ),
        })
        .optional()
        .describe('Alerts by mail, through the outbound queue.'),
      webhook: eventsSettings(kinds).optional().describe('Alerts as signed JSON, at once.'),
    })
    .prefault({})
    .describe('Alerts about what needs a person, and when it is back to normal.');
