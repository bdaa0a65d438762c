/** Takes what programs leave in drop folders and in their queues. Holds no S/MIME keys. */
import { createHash } from 'node:crypto';
import { loadClients } from '../src/client/index.ts';
import type { FolderConfig } from '../src/config/index.ts';
import { Consumer } from '../src/consumer/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { DropFolder } from '../src/drop/index.ts';
import { draftOwner, isDeadOwner } from '../src/files.ts';
import { roomLog } from '../src/log.ts';
import { openDropDoor, openQueueDoor } from '../src/pipeline/index.ts';
import { holdLease, releaseLease } from '../src/redis/index.ts';
import { submissionKey } from '../src/sealed/index.ts';

void runRole('submit', async ({ config, log, queue }) => {
  const { redis, prefix, intake } = queue;
  const { ClientRegistry, Rates } = await loadClients();
  const registry = await ClientRegistry.open({ ...queue, folder: config.dataDir, log, now: Date.now });
  registry.start();
  const rates = new Rates();
  const owner = draftOwner;
  const hold = async (lease: string, ms: number): Promise<boolean> => {
    if (await holdLease(redis, prefix, lease, { owner, ms })) return true;
    // a killed process of this machine gives up its lease at once
    const other = await redis.get(lease);
    if (other === null || !isDeadOwner(other)) return false;
    await releaseLease(redis, lease, other);
    return await holdLease(redis, prefix, lease, { owner, ms });
  };

  const folderOf = async (folder: FolderConfig): Promise<DropFolder> => {
    const { client: name, path, subject } = folder;
    const client = () => registry.named(name);
    const lease = `${prefix}:folder:lease:${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
    const { partners } = config;
    const now = () => new Date();
    return new DropFolder({
      config: folder,
      door: await openDropDoor({ client, subject, partners, intake, rates, now }),
      // a folder that was renamed goes on under its new name
      partners: () =>
        partners
          .filter((each) => client().mayUsePartner(each.name))
          .flatMap((each) => [each.name, ...each.formerNames]),
      hold: (ms) => hold(lease, ms),
      release: () => releaseLease(redis, lease, owner),
      log: roomLog(log, 'drop'),
      now: Date.now,
    });
  };
  const consumerOf = async (): Promise<Consumer> => {
    const { partners } = config;
    const client = (name: string) => registry.named(name);
    const lease = `${prefix}:from:lease`;
    return new Consumer({
      ...{ redis, prefix, log: roomLog(log, 'consumer'), now: Date.now, key: submissionKey(queue.deriveKey) },
      clients: () => registry.document.clients.filter((each) => each.queue).map((each) => each.name),
      submit: await openQueueDoor({ client, partners, intake, rates, now: () => new Date() }),
      hold: (ms) => hold(lease, ms),
      release: () => releaseLease(redis, lease, owner),
      maxSize: config.clientQueues.maxSize,
    });
  };
  const folders = await Promise.all(config.folders.map(folderOf));
  for (const folder of folders) folder.start();
  const consumer = config.clientQueues.enabled ? await consumerOf() : undefined;
  consumer?.start();
  return {
    facts: { folders: folders.length, queues: consumer ? 'read' : 'off' },
    troubles: () =>
      folders.flatMap(({ trouble }, index) =>
        trouble ? [{ what: `folder ${config.folders[index]?.path}`, ...trouble }] : [],
      ),
    async drain(timeoutMs) {
      await Promise.all([...folders, consumer].map((each) => each?.stop(timeoutMs)));
      registry.stop();
    },
  };
});
