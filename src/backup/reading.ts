/** A backup, read from its head to its trailer, with everything in its place. */
import { createHash, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { type Frame, invalid, readArchive, unpacked } from './archive.ts';
import type { BackupHead, BackupTrailer } from './backup.ts';
import { partsOf } from './files.ts';
import { dataFiles, type KeyType, kindOf } from './kinds.ts';

/** Takes what a backup holds. Calls do not overlap. */
export interface BackupReader {
  head?(head: BackupHead): Promise<void>;
  /** Replaces what came before under this name. */
  key?(name: string, type: KeyType, expiresAt: number): Promise<void>;
  elements?(elements: readonly Buffer[]): Promise<void>;
  gone?(name: string): Promise<void>;
  /** @returns what takes its octets; undefined to skip it */
  begin?(what: Stored): Promise<StoredWriter | undefined>;
}

export type Stored = { object: string } | { place: 'data' | 'config'; name: string };

export interface StoredWriter {
  write(octets: Buffer): Promise<void> | undefined;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

const count = z.number().int().min(0);
const headShape = z.object({
  version: z.string(),
  prefix: z.string(),
  startedAt: count,
  spoolKey: z.string(),
  proof: z.string(),
}) satisfies z.ZodType<BackupHead>;
const trailerShape = z.object({
  keys: count,
  objects: count,
  files: count,
  missing: count,
  at: count,
}) satisfies z.ZodType<BackupTrailer>;
const types = ['string', 'hash', 'set', 'zset', 'stream'] as const satisfies readonly KeyType[];
const keyShape = z.object({ k: z.string().max(2000), t: z.enum(types), x: count });
const goneShape = z.object({ k: z.string().max(2000) });
const objectShape = z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) });
const fileShape = z.object({ place: z.enum(['data', 'config']), name: z.string() });
const endShape = z.object({ octets: count, sha256: z.string() });

function parsed<T>(shape: z.ZodType<T>, { body }: Frame): T {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (cause) {
    throw invalid('a frame is not JSON', cause);
  }
  const { data, error } = shape.safeParse(value);
  if (data === undefined) throw invalid('a frame has another shape', error);
  return data;
}

export interface BackupFacts {
  head: BackupHead;
  trailer: BackupTrailer;
}

/** Reads all of it. Errors: `backup-invalid`, `file-access`, those of the reader. */
export async function readBackup(
  file: string,
  key: KeyObject,
  reader: BackupReader = {},
): Promise<BackupFacts> {
  const walk = new Walk(reader);
  try {
    for await (const frame of readArchive(file, key)) await walk.take(frame);
    return walk.end();
  } catch (error) {
    await walk.abort();
    throw error;
  }
}

class Walk {
  readonly #reader: BackupReader;
  #head: BackupHead | undefined;
  #trailer: BackupTrailer | undefined;
  /** The key whose elements are being read. */
  #inKey = false;
  /** The object or file whose octets are being read. */
  #stored: { writer: StoredWriter | undefined; isFile: boolean } | undefined;
  #hash = createHash('sha256');
  #octets = 0;
  readonly #counts = { keys: 0, objects: 0, files: 0 };

  constructor(reader: BackupReader) {
    this.#reader = reader;
  }

  async take(frame: Frame): Promise<void> {
    const { type } = frame;
    if (this.#trailer !== undefined) throw invalid('something follows its end');
    if ((this.#head === undefined) !== (type === 'H')) throw invalid('its head is not where it belongs');
    if ((this.#stored !== undefined) !== (type === 'D' || type === 'E' || type === 'A'))
      throw invalid('octets are not where they belong');
    if (type === 'P' && !this.#inKey) throw invalid('elements are not where they belong');
    this.#inKey = type === 'K' || type === 'P';
    await this.#frames[type](frame);
  }

  readonly #frames: Record<Frame['type'], (frame: Frame) => Promise<void>> = {
    H: async (frame) => {
      this.#head = parsed(headShape, frame);
      await this.#reader.head?.(this.#head);
    },
    K: async (frame) => {
      const { k, t, x } = parsed(keyShape, frame);
      if (kindOf(k) !== t) throw invalid(`it has a key that does not belong into one: ${k.split(':', 1)[0]}`);
      this.#counts.keys += 1;
      await this.#reader.key?.(k, t, x);
    },
    P: async ({ body }) => {
      await this.#reader.elements?.(unpacked(body));
    },
    G: async (frame) => {
      await this.#reader.gone?.(parsed(goneShape, frame).k);
    },
    O: async (frame) => {
      await this.#begin({ object: parsed(objectShape, frame).id }, false);
    },
    F: async (frame) => {
      const file = parsed(fileShape, frame);
      if (file.place === 'config') partsOf(file.name);
      else if (file.name !== 'spool.key' && !dataFiles.some((name) => name === file.name))
        throw invalid('it has a file that does not belong into the data folder');
      await this.#begin(file, true);
    },
    D: async ({ body }) => {
      this.#hash.update(body);
      this.#octets += body.length;
      await this.#stored?.writer?.write(body);
    },
    E: async (frame) => {
      const { octets, sha256 } = parsed(endShape, frame);
      if (octets !== this.#octets || sha256 !== this.#hash.digest('hex'))
        throw invalid('an object or a file is not what it was');
      const { writer, isFile } = this.#stored ?? { writer: undefined, isFile: false };
      this.#stored = undefined;
      this.#counts[isFile ? 'files' : 'objects'] += 1;
      await writer?.finish();
    },
    A: async () => {
      const writer = this.#stored?.writer;
      this.#stored = undefined;
      await writer?.abort();
    },
    T: async (frame) => {
      this.#trailer = parsed(trailerShape, frame);
    },
  };

  async #begin(what: Stored, isFile: boolean): Promise<void> {
    this.#hash = createHash('sha256');
    this.#octets = 0;
    this.#stored = { writer: await this.#reader.begin?.(what), isFile };
  }

  end(): BackupFacts {
    const [head, trailer, counts] = [this.#head, this.#trailer, this.#counts];
    if (head === undefined || trailer === undefined) throw invalid('it ends before its end');
    if (trailer.keys !== counts.keys || trailer.objects !== counts.objects || trailer.files !== counts.files)
      throw invalid('it has not what its end says');
    return { head, trailer };
  }

  async abort(): Promise<void> {
    await this.#stored?.writer?.abort();
  }
}
