/** Traces of messages, for a collector of OpenTelemetry. */
import { z } from 'zod';

/** @param kinds the type for secrets */
export const traceSettings = <S extends z.ZodType>(kinds: { secret: () => S }) =>
  z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .describe('Where spans are posted to, as OTLP over HTTP: http://collector:4318/v1/traces.'),
      authorization: kinds.secret().optional().describe('Value of the field Authorization.'),
      ratio: z.number().min(0).max(1).default(1).describe('Which share of messages has a trace.'),
    })
    .optional()
    .describe(
      'Traces by OpenTelemetry: one from the arrival of a message to its hand-off, one from its submission to its departure. Without it, nothing of it is loaded.',
    );
