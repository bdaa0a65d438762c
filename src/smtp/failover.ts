/** A second route for mail whose first one is down. */
import type { Outcome } from '../queue/index.ts';
import type { OutboundMessage, Sender } from './sender.ts';

/** Milliseconds until the first route is tried again with one message. Until then, the second one takes all mail. */
const probeEvery = 60_000;

/**
 * When the second route takes over: after this many failures in a row, or this many milliseconds after the first of
 * them.
 */
export interface TakeOver {
  failures: number;
  time: number;
}

/**
 * Sends by the first route until it is down (unreachable, or its TLS policy is not met), then by the second one, and by
 * the first again once a probe shows that it works. A message that the first server may have, or that some of its
 * recipients have, is not given to the second one in the same attempt.
 *
 * @param now milliseconds of a monotonic clock
 */
export function withBackup(
  first: Sender,
  second: Sender,
  { failures, time }: TakeOver,
  now: () => number,
): Sender {
  let failed = 0;
  let since = 0;
  let nextProbe = 0;
  const isOver = () => failed > 0 && (failed >= failures || now() - since >= time);

  const inUse = () => (isOver() ? second : first).pace;

  async function bySecond(message: OutboundMessage, signal?: AbortSignal): Promise<Outcome> {
    const outcome = await second.send(message, signal);
    return { ...outcome, facts: { ...outcome.facts, backup: true } };
  }

  return {
    async send(message, signal) {
      if (isOver()) {
        if (now() < nextProbe) return await bySecond(message, signal);
        nextProbe = now() + probeEvery;
      }
      const outcome = await first.send(message, signal);
      // the backup takes it, instead of letting it wait until a route that is down has room for another try
      if ('retry' in outcome && outcome.inLine && isOver()) return await bySecond(message, signal);
      const peer = 'done' in outcome ? 'works' : outcome.peer;
      if (peer === 'works') failed = 0;
      if (peer !== 'down' || signal?.aborted) return outcome;
      if (failed === 0) since = now();
      failed += 1;
      const isSafe = outcome.facts?.possibleDuplicate !== true && !('reached' in outcome && outcome.reached);
      if (!isOver()) return outcome;
      nextProbe = now() + probeEvery;
      if (!isSafe) return outcome;
      return await bySecond(message, signal);
    },
    pace: {
      room: () => inUse()?.room() ?? Number.POSITIVE_INFINITY,
      rests: () => inUse()?.rests() ?? 0,
    },
    hurry() {
      nextProbe = now();
    },
    close() {
      first.close();
      second.close();
    },
  };
}
