/** The log: what is written, and how. */
import { z } from 'zod';
import { logLevels, logTimes } from '../log.ts';

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
