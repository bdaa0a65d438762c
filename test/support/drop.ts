/** A drop folder in the process of the test, with the real registry, `submit` and queue behind it. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allGranted, type Grants } from '../../src/client/index.ts';
import { ClientRegistry, Rates } from '../../src/client/registry.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { DropDoor } from '../../src/drop/index.ts';
import { DropFolder } from '../../src/drop/index.ts';
import { createLog } from '../../src/log.ts';
import { dropDoor } from '../../src/pipeline/drop-door.ts';
import { PartnerBook } from '../../src/pipeline/submit.ts';
import type { MessageRecord, QueueRoom } from '../../src/queue/index.ts';
import { holdLease, releaseLease } from '../../src/redis/index.ts';

const open = { encrypt: false, sign: 'none', from: 'erp@own.example' };
const partners = [
  { name: 'acme', addresses: ['edi@acme.example'], ...open },
  { name: 'globex', addresses: ['in@globex.example'], ...open },
  { name: 'foreign', addresses: ['in@foreign.example'], ...open },
];

export interface TestDrop {
  path: string;
  folder: DropFolder;
  registry: ClientRegistry;
  /** Starts another process of the folder. */
  another(door?: (real: DropDoor) => DropDoor): DropFolder;
  /** Messages to a partner, oldest first. */
  sent(partner?: string): Promise<MessageRecord[]>;
  text(record: MessageRecord | undefined): Promise<string>;
  /** Names in a folder below PATH. */
  names(folder: string): string[];
  /** The reason beside a file that failed. */
  reason(partner: string, name: string): Record<string, string>;
  close(): Promise<void>;
}

let drops = 0;

/** @param settings as in the configuration; what is in PATH before the start is made by `prepare` */
export async function startDrop(
  { queue, dataDir }: { queue: QueueRoom; dataDir: string },
  settings: Record<string, unknown> = {},
  prepare: (path: string) => void = () => undefined,
  grants: Partial<Grants> = {},
  door: (real: DropDoor) => DropDoor = (real) => real,
): Promise<TestDrop> {
  drops += 1;
  const name = `drop${drops}`;
  const path = mkdtempSync(join(tmpdir(), 'sealpost-drop-'));
  for (const each of ['acme', 'globex']) mkdirSync(join(path, each));
  prepare(path);
  const log = createLog('silent', 'test');
  const registry = await ClientRegistry.open({ ...queue, folder: dataDir, log, now: Date.now });
  await registry.change((document) => {
    const given = { ...allGranted, partners: ['acme', 'globex'], ...grants };
    document.clients.push({ name, grants: given, createdAt: Date.now(), pins: [] });
  });
  const config = configSchema.parse({
    partners,
    folders: [{ path, client: name, settle: '100ms', scan: '1s', ...settings }],
  });
  const [folder] = config.folders;
  if (folder === undefined) throw new Error('no folder');
  const client = () => registry.named(name);
  const rates = new Rates();
  const real = dropDoor({
    ...{ client, rates, intake: queue.intake, partners: new PartnerBook(config.partners) },
    subject: folder.subject,
    now: () => new Date(),
  });
  const lease = `${queue.prefix}:folder:lease:${name}`;
  const running: DropFolder[] = [];
  const another = (wrap: (real: DropDoor) => DropDoor = (each) => each) => {
    const owner = `owner-${drops}-${running.length}`;
    const made = new DropFolder({
      config: folder,
      door: wrap(real),
      partners: () => config.partners.map((each) => each.name).filter((each) => client().mayUsePartner(each)),
      hold: (ms) => holdLease(queue.redis, queue.prefix, lease, { owner, ms }),
      release: () => releaseLease(queue.redis, lease, owner),
      log,
      now: Date.now,
    });
    running.push(made);
    made.start();
    return made;
  };
  return {
    path,
    folder: another(door),
    registry,
    another,
    async sent(partner = 'acme') {
      const { messages } = await queue.ledger.list({ partner, limit: 1000 });
      return messages.filter((each) => each.client === name).reverse();
    },
    async text(record) {
      const ref = record && (await queue.flow.originalOf(record.id));
      return ref ? (await queue.spool.read(ref)).toString() : '';
    },
    names: (each) => readdirSync(join(path, each)).sort(),
    reason: (partner, file) =>
      JSON.parse(readFileSync(join(path, 'failed', partner, `${file}.error.json`), 'utf8')),
    async close() {
      for (const each of running) await each.stop(5000);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
