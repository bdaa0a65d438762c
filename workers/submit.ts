/** Takes what programs leave in drop folders. Holds no keys of S/MIME. */
import { createHash, randomUUID } from 'node:crypto';
import { loadClients } from '../src/client/index.ts';
import type { FolderConfig } from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { DropFolder } from '../src/drop/index.ts';
import { openDropDoor } from '../src/pipeline/index.ts';
import { holdLease, releaseLease } from '../src/redis/index.ts';

await runRole('submit', async ({ config, log, queue }) => {
  const { redis, prefix, intake } = queue;
  const { ClientRegistry, Rates } = await loadClients();
  const registry = await ClientRegistry.open({ ...queue, folder: config.dataDir, log, now: Date.now });
  registry.start();
  const rates = new Rates();
  const owner = randomUUID();

  const folderOf = async (folder: FolderConfig): Promise<DropFolder> => {
    const { client: name, path, subject } = folder;
    const client = () => registry.named(name);
    const lease = `${prefix}:folder:lease:${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
    const { partners } = config;
    const now = () => new Date();
    return new DropFolder({
      config: folder,
      door: await openDropDoor({ client, subject, partners, intake, rates, now }),
      partners: () => partners.map((each) => each.name).filter((each) => client().mayUsePartner(each)),
      hold: (ms) => holdLease(redis, prefix, lease, { owner, ms }),
      release: () => releaseLease(redis, lease, owner),
      log,
      now: Date.now,
    });
  };
  const folders = await Promise.all(config.folders.map(folderOf));
  for (const folder of folders) folder.start();
  return {
    facts: { folders: folders.length },
    troubles: () =>
      folders.flatMap(({ trouble }, index) =>
        trouble ? [{ what: `folder ${config.folders[index]?.path}`, ...trouble }] : [],
      ),
    async drain(timeoutMs) {
      await Promise.all(folders.map((folder) => folder.stop(timeoutMs)));
      registry.stop();
    },
  };
});
