/** When failed messages are tried again, and when those are that wait for a certificate or key. */
import { z } from 'zod';
import { duration } from './units.ts';

const onKeys = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      'Replay suspended messages automatically when the certificate or key that they wait for arrives. docs/reason-codes.md says for which reasons they do.',
    ),
  delay: duration()
    .prefault('1h')
    .describe(
      'How long to wait after a rule has approved a certificate before messages are replayed for it. There is no wait if a person approved or configured it.',
    ),
  perPartner: z
    .number()
    .int()
    .min(1)
    .default(1000)
    .describe('Maximum number of messages of one partner that are replayed automatically per day (UTC).'),
  perDay: z
    .number()
    .int()
    .min(1)
    .default(10_000)
    .describe('Maximum number of messages of all partners that are replayed automatically per day (UTC).'),
});

export const retry = z.strictObject({
  attempts: z.number().int().min(1).default(20).describe('Attempts before the message is suspended.'),
  firstDelay: duration('100ms')
    .prefault('5s')
    .describe('Delay after the first failure. It doubles each time, with jitter.'),
  maxDelay: duration('100ms').prefault('1h').describe('Maximum delay.'),
  onKeys: onKeys.prefault({}).describe('Replay of messages that wait for a certificate or key.'),
});
