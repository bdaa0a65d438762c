/** Settings of the queues through which programs hand in messages. */
import { z } from 'zod';
import { size } from './units.ts';

export function clientQueueSettings() {
  return z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe(
          'Take messages from the queues of clients in Redis (sealpost clients queue). Needs a Redis that your programs reach, so not the private one.',
        ),
      maxSize: size('1KiB')
        .prefault('10MiB')
        .describe('Maximum size of a message. It is in Redis and in memory as a whole.'),
    })
    .prefault({})
    .describe('Queues of clients: programs with sealpost/client put messages for partners there.');
}
