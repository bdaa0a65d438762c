/** The HTTP listener for health, metrics and signed content URLs. */
import { z } from 'zod';

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
        'Whoever asks for /metrics from another machine needs it: Authorization: Bearer TOKEN. Without it, only this machine gets them.',
      ),
  });
