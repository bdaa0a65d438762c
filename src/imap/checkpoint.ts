import type { Redis } from 'ioredis';
import { z } from 'zod';
import { SealpostError } from '../errors.ts';
import { holdLease, releaseLease } from '../redis/index.ts';

/** How far a folder has been read. */
const mark = z.object({
  /** As text, because it may exceed what JSON keeps exactly. */
  uidValidity: z.string(),
  /** Every message up to this UID is stored, or is in one of the lists below. */
  uid: z.number(),
  /** Stored, but not yet marked, moved or deleted. The action is repeated without fetching again. */
  pending: z.array(z.number()),
  /** Could not be fetched: number of attempts, and octets of the last one. */
  failed: z.record(z.string(), z.object({ attempts: z.number(), octets: z.number() })),
});

export type Mark = z.output<typeof mark>;

/** Where checkpoints are kept. */
export interface Checkpoint {
  /** Null if the folder has never been read. */
  load(folder: string): Promise<Mark | null>;
  save(folder: string, mark: Mark): Promise<void>;
  /**
   * Takes or keeps the folder for `owner` for `ms` milliseconds; false while another owner has it. Only one poller
   * works on a folder, however many are running.
   */
  hold(folder: string, owner: string, ms: number): Promise<boolean>;
  /** Returns the folder, if `owner` has it. */
  release(folder: string, owner: string): Promise<void>;
}

export function freshMark(uidValidity: string): Mark {
  return { uidValidity, uid: 0, pending: [], failed: {} };
}

/** Checkpoints in the queue's Redis, under its prefix. Errors: `redis-unreachable`. */
export function createCheckpoints(redis: Redis, prefix: string): Checkpoint {
  const markKey = (folder: string) => `${prefix}:imap:mark:${folder}`;
  const leaseKey = (folder: string) => `${prefix}:imap:lease:${folder}`;
  return {
    async load(folder) {
      const text = await guarded(redis.get(markKey(folder)));
      if (text === null) return null;
      const parsed = mark.safeParse(parseJson(text));
      // with an unreadable checkpoint, the folder is read again; the intake recognizes what it has
      return parsed.success ? parsed.data : null;
    },
    async save(folder, value) {
      await guarded(redis.set(markKey(folder), JSON.stringify(value)));
    },
    hold: (folder, owner, ms) => holdLease(redis, prefix, leaseKey(folder), { owner, ms }),
    release: (folder, owner) => releaseLease(redis, leaseKey(folder), owner),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Errors of ioredis contain the command's arguments, so none of them leaves this file. */
async function guarded<T>(command: Promise<T>): Promise<T> {
  try {
    return await command;
  } catch {
    throw new SealpostError(
      'redis-unreachable',
      'Redis did not take or give the checkpoint of an IMAP folder',
    );
  }
}
