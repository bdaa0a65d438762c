/**
 * Restores into an empty installation, after the whole backup was read and verified. What is written is marked as
 * unfinished, so that a restore that was killed is not taken for a complete one. In the end everything waits: nothing
 * starts before a person says so, and messages that had not ended are suspended.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { loadClients } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { hasCode, SealpostError } from '../errors.ts';
import { draftOwner, makeDataFolder, syncFolder } from '../files.ts';
import type { Log } from '../log.ts';
import { holdUnfinished, keysLike, openQueue, readRestoreMark, writeRestoreMark } from '../queue/index.ts';
import { guarded } from '../redis/index.ts';
import type { LargeStore, SpoolKey } from '../spool/index.ts';
import { UserRegistry } from '../user/index.ts';
import { openContentKey } from './archive.ts';
import { isProof, spoolKeyId } from './backup.ts';
import { FilesFolder } from './files.ts';
import { KeyLoader } from './key-loader.ts';
import { type BackupFacts, readBackup, type Stored, type StoredWriter } from './reading.ts';

export interface RestoreParts {
  config: Config;
  redis: Redis;
  store: LargeStore;
  log: Log;
}

interface Ended {
  /** How many tokens, passwords and pins of clients are no longer valid. */
  credentials: number;
  /** How many people are disabled. */
  people: number;
}

export interface RestoreResult extends BackupFacts, Ended {
  /** How many messages wait for a person because they were under way. */
  held: number;
}

const refused = (what: string, hint: string) => new SealpostError('restore-refused', what, { hint });

/** Where `spool.key` is if the configuration names no other place. */
export const spoolKeyFile = (config: Config) => join(config.dataDir, 'spool.key');

/**
 * Takes the spool key from a backup if the installation has none. Whoever forges a backup would put their own key into
 * it, and prove with that key that they made it. So a person has to say which key it is.
 *
 * @param id of the spool key, as it was printed when the backup was made
 * @throws {SealpostError} `restore-refused` if there is none, or another one; nothing is written then
 */
export async function restoreSpoolKey(
  config: Config,
  { file, key, id }: { file: string; key: KeyObject; id: string },
): Promise<void> {
  const path = spoolKeyFile(config);
  if (config.spool.key !== undefined || existsSync(path))
    throw refused('the installation has a spool key already', 'leave --spool-key out');
  const pieces: Buffer[] = [];
  await readBackup(file, key, {
    begin: async (what) => {
      if (!('name' in what) || what.place !== 'data' || what.name !== 'spool.key') return undefined;
      return { write: async (octets) => void pieces.push(octets), ...nothingElse };
    },
  });
  const text = Buffer.concat(pieces);
  const octets = Buffer.from(text.toString('latin1').trim(), 'base64');
  const found = octets.length === 32 ? spoolKeyId(createSecretKey(octets)) : undefined;
  if (found === undefined)
    throw refused('the backup has no spool key in it', `put the spool key of then into ${path}`);
  if (found !== id.toLowerCase())
    throw refused(
      `the spool key in the backup is ${found}, and not ${id}`,
      'sealpost backup said which one it is; if that was another one, somebody else made this file',
    );
  await makeDataFolder(config.dataDir, 0o700);
  const writer = await dataFile(config, 'spool.key');
  await writer?.write(text);
  await writer?.finish();
}

const nothingElse = { finish: async () => undefined, abort: async () => undefined };

/** Writes a backup back. Errors: `restore-refused`, `backup-invalid`, `file-access`, those of Redis and spool. */
export async function restoreBackup(
  { config, redis, store, log }: RestoreParts,
  { file, key, spoolKey }: { file: string; key: KeyObject; spoolKey: SpoolKey },
): Promise<RestoreResult> {
  const facts = await readBackup(file, key);
  const { head, trailer } = facts;
  const contentKey = await openContentKey(file, key);
  const { prefix } = config.redis;
  if (head.spoolKey !== spoolKeyId(spoolKey))
    throw refused(
      `the backup belongs to spool key ${head.spoolKey}, and here is ${spoolKeyId(spoolKey)}`,
      `put the spool key of then into ${config.spool.key ? 'the place that spool.key names' : spoolKeyFile(config)}`,
    );
  if (!isProof(head.proof, spoolKey, contentKey.export()))
    throw refused('the backup was not made by an installation with this spool key', 'use another copy of it');
  const mark = { state: 'loading', at: Date.now(), of: trailer.at } as const;
  await clear({ redis, prefix }, store);
  await writeRestoreMark({ redis, prefix }, mark);
  const loader = new KeyLoader(redis, prefix);
  // With this content key, so that it is the same backup.
  await readBackup(file, contentKey, {
    key: (name, type, expiresAt) => loader.key(name, type, expiresAt),
    elements: (elements) => loader.elements(elements),
    gone: (name) => loader.gone(name),
    begin: async (what) => await writerOf(config, store, what),
  });

  await loader.end();
  await removeUnowned({ redis, prefix }, store);
  const held = await holdUnfinished({ redis, prefix }, Date.now());
  const ended = await endLogins(config, redis, log);
  await writeRestoreMark({ redis, prefix }, { ...mark, state: 'paused' });
  return { ...facts, held, ...ended };
}

/** Makes sure that nothing is there except what an unfinished restore has left. Errors: `restore-refused`. */
async function clear(parts: { redis: Redis; prefix: string }, store: LargeStore): Promise<void> {
  if ((await readRestoreMark(parts))?.state === 'loading') {
    for await (const object of store.objects()) await object.remove();
    for await (const keys of keysLike(parts, '')) {
      // The mark is removed last, so that this may be interrupted too.
      const others = keys.filter((key) => key !== `${parts.prefix}:restore`);
      if (others.length > 0) await guarded('restore', parts.redis.unlink(others));
    }
    return;
  }
  const empty = 'a backup replaces nothing: use an empty Redis (or another redis.prefix) and an empty spool';
  for await (const keys of keysLike(parts, ''))
    throw refused(`the installation is not empty: Redis has ${keys.length} keys or more`, empty);
  for await (const object of store.objects())
    throw refused(`the installation is not empty: the spool has octets (${object.id})`, empty);
}

async function writerOf(config: Config, store: LargeStore, what: Stored): Promise<StoredWriter | undefined> {
  if ('object' in what) return await store.createSealed(what.object);
  return what.place === 'data' && what.name !== 'spool.key' ? await dataFile(config, what.name) : undefined;
}

/** A file of the data folder. One that exists stays, because it knows what has happened since. */
async function dataFile({ dataDir }: Config, name: string): Promise<StoredWriter | undefined> {
  const path = join(dataDir, name);
  if (existsSync(path)) return undefined;
  const draft = `${path}.${draftOwner}`;
  const handle = await open(draft, 'w', 0o600);
  return {
    write: async (octets) => {
      await handle.writeFile(octets);
    },
    finish: async () => {
      await handle.sync();
      await handle.close();
      // Fails if the file exists.
      await link(draft, path).catch((error: unknown) => {
        if (!hasCode(error, 'EEXIST')) throw error;
      });
      await rm(draft, { force: true });
      await syncFolder(dataDir);
    },
    abort: async () => {
      await handle.close();
      await rm(draft, { force: true });
    },
  };
}

/** Objects that were copied and finished before the moment that the backup shows. */
async function removeUnowned(
  { redis, prefix }: { redis: Redis; prefix: string },
  store: LargeStore,
): Promise<void> {
  for await (const object of store.objects())
    if ((await guarded('restore', redis.exists(`${prefix}:f:${object.id}`))) === 0) await object.remove();
}

/**
 * Clients come back without any way to log in, and people come back disabled: a token or a person may have been shut
 * out since the backup. Both lists get a version that was never seen, so that no older list is mistaken for them.
 */
async function endLogins(config: Config, redis: Redis, log: Log): Promise<Ended> {
  const { prefix } = config.redis;
  const ended = { credentials: 0, people: 0 };
  const isThere = async (name: string) => (await guarded('restore', redis.exists(`${prefix}:${name}`))) === 1;
  const [hasClients, hasUsers] = [await isThere('clients'), await isThere('users')];
  if (!hasClients && !hasUsers) return ended;
  const queue = await openQueue(config, { role: 'restore', log, checkDurability: false });
  const parts = { ...queue, folder: config.dataDir, now: Date.now, log };
  try {
    if (hasClients) {
      const { ClientRegistry } = await loadClients();
      const registry = await ClientRegistry.open(parts);
      await registry.change((document) => {
        ended.credentials = document.credentials.length;
        document.credentials = [];
        for (const client of document.clients) {
          ended.credentials += client.pins.length;
          client.pins = [];
          delete client.queue;
        }
      }, true);
    }
    if (hasUsers) {
      const registry = await UserRegistry.open({ ...parts, oidc: config.console.oidc });
      await registry.change((document) => {
        ended.people = document.people.length;
        for (const person of document.people) {
          person.disabled = true;
          person.epoch += 1;
          person.invitation = null;
        }
      }, true);
    }
    return ended;
  } finally {
    await queue.close();
  }
}

/** Writes the configuration and the files beside it into a new folder. Nothing else is touched. */
export async function restoreFiles(
  file: string,
  key: KeyObject,
  folder: string,
): Promise<BackupFacts & { written: number }> {
  const facts = await readBackup(file, key);
  const target = new FilesFolder(folder);
  let written = 0;
  await readBackup(file, key, {
    begin: async (what) => {
      if (!('name' in what) || (what.place === 'data' && what.name !== 'spool.key')) return undefined;
      const handle = await target.create(what.name);
      written += 1;
      return {
        write: async (octets) => {
          await handle.writeFile(octets);
        },
        finish: async () => {
          await handle.sync();
          await handle.close();
        },
        abort: () => handle.close(),
      };
    },
  });
  await target.sync();
  return { ...facts, written };
}
