/**
 * R6: the primary of a Redis Cluster, and one under Sentinels, killed or stopped under load; a replica takes over by
 * itself. `SEALPOST_FAULTS_REPLICAS=0` shows what is lost where no replica is waited for (R6-cluster-ahead).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../../support/peers/run.ts';
import { followersOf, type Node, startTestCluster, startTestSentinels } from '../../support/redis-nodes.ts';
import type { FaultCase, Run } from '../support/case.ts';
import type { Load } from '../support/load.ts';
import type { Rig } from '../support/rig.ts';

const prefix = '{sealpost}';
const replicas = Number(process.env.SEALPOST_FAULTS_REPLICAS ?? 1);

interface Store {
  redis: Record<string, unknown>;
  nodes: readonly Node[];
  primary(): Promise<Node>;
  healthy(): Promise<void>;
  stop(): Promise<void>;
}

async function cluster(): Promise<Store> {
  const { nodes, urls, owner, healthy, stop } = await startTestCluster();
  return {
    redis: { cluster: { nodes: urls } },
    nodes,
    primary: () => owner(prefix),
    healthy: () => healthy(prefix, 1),
    stop,
  };
}

async function sentinels(): Promise<Store> {
  const { servers, urls, master, primary, healthy, stop } = await startTestSentinels();
  return {
    redis: { sentinel: { master, nodes: urls } },
    nodes: servers,
    primary,
    healthy: () => healthy(2),
    stop,
  };
}

/** Cuts the replicas off; they come back when they run again. */
async function withoutReplicas(primary: Node): Promise<void> {
  const client = primary.client();
  try {
    await new Promise((resolve) => client.once('ready', resolve));
    await client.call('CLIENT', 'KILL', 'TYPE', 'replica');
  } finally {
    client.disconnect();
  }
}

/** A connection that slept while another took over is told so at its first command, which fails. */
async function oracleIsThere(rig: Rig): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await rig.queue.ledger.count();
      return;
    } catch (error) {
      if (tries > 50) throw error;
      await sleep(200);
    }
  }
}

const refusalsOf = (load: Load) =>
  `refusals: ${[...load.refusals].map(([code, times]) => `${code || 'cut'} ${times}`).join(', ') || 'none'}`;

interface Kind {
  id: string;
  title: string;
  start: () => Promise<Store>;
  /**
   * `hung`: stopped until another has taken over, then it goes on where it was. `ahead`: killed when it has been alone
   * for a while with what it did, its replicas being stopped.
   */
  how: 'killed' | 'hung' | 'ahead';
  short?: true;
}

const failover = ({ id, title, start, how, short }: Kind): FaultCase => ({
  id,
  title,
  share: how === 'killed' ? 4 : 2,
  ...(short ? { short } : {}),
  skip: () => (findProgram('redis-cli') ? undefined : 'redis-cli is not installed'),
  async run(run: Run) {
    const store = await start();
    run.after(() => store.stop());
    const rig = await run.rig({
      redis: 'private',
      config: { redis: { ...store.redis, commandTimeout: '3s', replicas } },
    });
    const load = rig.load({ clients: 8, pace: 5 });
    const away: number[] = [];
    for (let done = 0; done < run.kills; done++) {
      await sleep(1000 + Math.random() * 1000);
      const old = await store.primary();
      const at = performance.now();
      const followers = how === 'ahead' ? await followersOf(old, store.nodes) : [];
      for (const { pid } of followers) process.kill(pid, 'SIGSTOP');
      // What is in their sockets already would still reach them.
      if (how === 'ahead') await withoutReplicas(old);
      // Less than what makes them count as dead.
      if (how === 'ahead') await sleep(700);
      if (how === 'hung') process.kill(old.pid, 'SIGSTOP');
      else await old.kill();
      for (const { pid } of followers) process.kill(pid, 'SIGCONT');
      rig.kills++;
      // Only when another one has taken over: it must come back as a replica.
      await store.primary();
      away.push(performance.now() - at);
      if (how === 'hung') process.kill(old.pid, 'SIGCONT');
      else await old.start();
      await store.healthy();
    }
    await sleep(2000);
    await load.finish();
    await oracleIsThere(rig);
    const longest = (Math.max(...away) / 1000).toFixed(1);
    return rig.findings([load], {
      notes: [refusalsOf(load), `until another was the primary: ${longest} s at most`],
    });
  },
});

export const failoverCases: FaultCase[] = [
  failover({
    id: 'R6-cluster-failover',
    title: 'Redis Cluster of six nodes: the primary of the slot killed under load',
    start: cluster,
    how: 'killed',
    short: true,
  }),
  // The same without a daemon is part of CI as well: test/queue/many-machines.test.ts
  failover({
    id: 'R6-sentinel-failover',
    title: 'three Sentinels, two replicas: the primary killed under load',
    start: sentinels,
    how: 'killed',
  }),
  failover({
    id: 'R6-cluster-hung',
    title: 'Redis Cluster: the primary stopped under load, until another has taken over, then let go on',
    start: cluster,
    how: 'hung',
  }),
  failover({
    id: 'R6-sentinel-hung',
    title: 'Sentinels: the primary stopped under load, until another has taken over, then let go on',
    start: sentinels,
    how: 'hung',
  }),
  failover({
    id: 'R6-cluster-ahead',
    title: 'Redis Cluster: the primary killed when its replica has been behind for 0.7 s',
    start: cluster,
    how: 'ahead',
  }),
];
