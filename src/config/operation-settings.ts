/** What an operator sees: the HTTP listener for health, metrics and signed content URLs; the log; traces. */
import { z } from 'zod';
import { logLevels, logTimes } from '../log.ts';

/** @param kinds the types for ports and secrets */
export const httpSettings = <P extends z.ZodType, S extends z.ZodType>(kinds: {
  port: () => P;
  secret: () => S;
}) =>
  z.strictObject({
    host: z
      .string()
      .default('127.0.0.1')
      .describe('Address of the HTTP listener for health, metrics and signed content URLs.'),
    port: kinds.port().optional().describe('Port. Without it, there is no HTTP listener.'),
    publicUrl: z
      .url()
      .optional()
      .describe(
        'Base URL of the HTTP listener as your systems reach it, for signed URLs. Default: http://host:port.',
      ),
    metricsToken: kinds
      .secret()
      .optional()
      .describe(
        'Token required to get /metrics from another machine: Authorization: Bearer TOKEN. Without it, only this machine can get them.',
      ),
  });

export const logSettings = () =>
  z
    .strictObject({
      level: z
        .enum(logLevels)
        .default('info')
        .describe(
          'Minimum severity that is logged. sealpost log changes it while the daemon runs, also for a part of the program.',
        ),
      times: z
        .enum(logTimes)
        .default('epoch')
        .describe('How times are written: epoch (milliseconds) or iso (2026-12-01T08:00:00.000Z).'),
    })
    .prefault({})
    .describe('Logging: JSON lines on standard error.');

/** @param kinds the type for secrets */
export const traceSettings = <S extends z.ZodType>(kinds: { secret: () => S }) =>
  z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .describe('URL to which spans are posted, as OTLP over HTTP: http://collector:4318/v1/traces.'),
      authorization: kinds.secret().optional().describe('Value of the field Authorization.'),
      ratio: z.number().min(0).max(1).default(1).describe('The share of messages that are traced.'),
    })
    .optional()
    .describe(
      'OpenTelemetry traces: one from the arrival of a message to its hand-off, one from its submission to its departure. Without this, none of the libraries are loaded.',
    );
