/** A port that refuses is tried once, and then after pauses: not once for each of the messages that wait for it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { until } from '../support/messages.ts';
import { useTestQueue } from '../support/queue.ts';
import { type Refused, refusedMail, refusedWebhook } from '../support/refused.ts';

let queue: QueueRoom;
useTestQueue((opened) => {
  ({ queue } = opened);
});

describe('five hundred messages for a port that refuses', () => {
  const kinds: [string, (queue: QueueRoom, messages: number) => Promise<Refused>][] = [
    ["a partner's", refusedMail],
    ["a webhook's", refusedWebhook],
  ];
  for (const [name, refused] of kinds)
    it(`${name}: one connection, and one more after the pause of two seconds`, async () => {
      const messages = 500;
      const route = await refused(queue, messages);
      const begun = performance.now();
      // after 0, 2, 6, 14 seconds
      const most = () => 1 + Math.floor(Math.log2((performance.now() - begun) / 2000 + 1));
      await route.start();
      try {
        // the one that was tried waits for its own next attempt
        await until(async () => (await route.putAside()) >= messages - 1);
        assert.ok(route.attempts() >= 1 && route.attempts() <= most(), `${route.attempts()} of ${most()}`);
        await until(async () => route.attempts() >= 2);
        assert.ok(route.attempts() <= most(), `${route.attempts()} of ${most()}`);
      } finally {
        await route.stop();
      }
      await queue.redis.flushdb();
    });
});
