/**
 * R5: the power goes. `SEALPOST_FAULTS_FSYNC=everysec` or `no` (appendfsync of Redis), or
 * `SEALPOST_FAULTS_LIARS=redis-server` or `node` (programs whose fsync does nothing) shows what is lost without what
 * the case is about.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultCase, Run } from '../support/case.ts';
import { folderSink } from '../support/oracle.ts';
import { noPowerLoss, PowerSupply } from '../support/power.ts';
import { makeMail, type Rig } from '../support/rig.ts';

const { SEALPOST_FAULTS_FSYNC: fsync, SEALPOST_FAULTS_LIARS: liars } = process.env;
/** More than spool.inlineLimit: these go into the spool folder. */
const large = 400_000;

/** Commands to the private server, on a connection of their own. */
async function tellRedis(rig: Rig, ...commands: [string, ...string[]][]): Promise<void> {
  const link = rig.daemon.queue.connect('power');
  try {
    await rig.daemon.waitFor('a connection', () => link.status === 'ready');
    for (const [name, ...args] of commands) await link.call(name, ...args);
  } finally {
    link.disconnect();
  }
}

async function losses(run: Run, supply: PowerSupply, rig: Rig) {
  const load = rig.load({
    clients: 8,
    pace: 5,
    again: 200,
    mail: (number) => makeMail(run.world, number % 8 === 0 ? large : 200),
  });
  const notes: string[] = [];
  const failures: string[] = [];
  for (let done = 0; done < (run.short ? 1 : 5); done++) {
    if (fsync !== undefined) await tellRedis(rig, ['CONFIG', 'SET', 'appendfsync', fsync]);
    await sleep(1500 + Math.random() * 1500);
    // The new append-only file, its manifest and the removal of the old one: each at some moment of the losses.
    if (done % 2 === 0) await tellRedis(rig, ['BGREWRITEAOF']);
    await sleep(Math.random() * 250);
    const { cut, octets, vanished } = await supply.lose();
    rig.kills++;
    notes.push(`${cut.length} files cut by ${octets} octets, ${vanished.length} names gone`);
    for (const path of cut)
      if (/^inbox\/[^.]/.test(path)) failures.push(`a delivered message is not whole: ${path}`);
    await rig.daemon.ended;
    await rig.boot();
  }
  await sleep(1000);
  await load.finish();
  return { load, notes, failures };
}

export const powerCases: FaultCase[] = [
  {
    id: 'R5-power-loss',
    title: 'power lost under load: all killed, and what was not synced is gone',
    skip: noPowerLoss,
    async run(run) {
      const supply = new PowerSupply(run.world.folder, { slower: 5, liars });
      const inbox = join(supply.root, 'inbox');
      const rig = await run.rig({
        redis: 'private',
        env: supply.env,
        config: {
          dataDir: join(supply.root, 'data'),
          mailboxes: [
            {
              name: 'orders',
              addresses: ['orders@own.example'],
              destinations: [{ type: 'directory', path: inbox }],
            },
          ],
        },
      });
      const { load, notes, failures } = await losses(run, supply, rig);
      return rig.findings([load], { sink: () => folderSink(inbox), notes, failures });
    },
  },
];
