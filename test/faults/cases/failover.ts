/** R6: the primary of a Redis Cluster, and one under Sentinels, killed under load; a replica takes over by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../../support/peers/run.ts';
import { type Node, startTestCluster, startTestSentinels } from '../../support/redis-nodes.ts';
import type { FaultCase, Run } from '../support/case.ts';
import type { Load } from '../support/load.ts';

const prefix = '{sealpost}';

interface Store {
  redis: Record<string, unknown>;
  primary(): Promise<Node>;
  healthy(): Promise<void>;
  stop(): Promise<void>;
}

async function cluster(): Promise<Store> {
  const { urls, owner, healthy, stop } = await startTestCluster();
  return {
    redis: { cluster: { nodes: urls } },
    primary: () => owner(prefix),
    healthy: () => healthy(prefix, 1),
    stop,
  };
}

async function sentinels(): Promise<Store> {
  const { urls, master, primary, healthy, stop } = await startTestSentinels();
  return { redis: { sentinel: { master, nodes: urls } }, primary, healthy: () => healthy(2), stop };
}

const refusalsOf = (load: Load) =>
  `refusals: ${[...load.refusals].map(([code, times]) => `${code || 'cut'} ${times}`).join(', ') || 'none'}`;

const failover = (id: string, title: string, start: () => Promise<Store>, isShort: boolean): FaultCase => ({
  id,
  title,
  share: 4,
  ...(isShort ? { short: true } : {}),
  skip: () => (findProgram('redis-cli') ? undefined : 'redis-cli is not installed'),
  async run(run: Run) {
    const store = await start();
    run.after(() => store.stop());
    const rig = await run.rig({
      redis: 'private',
      config: { redis: { ...store.redis, commandTimeout: '3s' } },
    });
    const load = rig.load({ clients: 8, pace: 5 });
    const away: number[] = [];
    for (let done = 0; done < run.kills; done++) {
      await sleep(1000 + Math.random() * 1000);
      const old = await store.primary();
      const killedAt = performance.now();
      await old.kill();
      rig.kills++;
      // Only when another one has taken over: it must come back as a replica.
      await store.primary();
      away.push(performance.now() - killedAt);
      await old.start();
      await store.healthy();
    }
    await sleep(2000);
    await load.finish();
    const longest = (Math.max(...away) / 1000).toFixed(1);
    return rig.findings([load], {
      notes: [refusalsOf(load), `from the kill to another primary: ${longest} s at most`],
    });
  },
});

export const failoverCases: FaultCase[] = [
  failover(
    'R6-cluster-failover',
    'Redis Cluster of six nodes: the primary of the slot killed under load, again and again',
    cluster,
    true,
  ),
  failover(
    'R6-sentinel-failover',
    'three Sentinels, two replicas: the primary killed under load, again and again',
    sentinels,
    // The same on the level of the queue: test/queue/many-machines.test.ts
    false,
  ),
];
