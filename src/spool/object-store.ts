/**
 * Large octets as objects of an S3-compatible store, sealed in the same chunks as in the spool folder. Anything smaller
 * than a part is uploaded in one request; larger octets go up in parts as they come. An object exists completely or not
 * at all.
 */
import { createSecretKey, randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { isNotThere, S3Bucket, type S3Settings } from './bucket.ts';
import {
  isStoreAway,
  type LargeStore,
  type LargeWriter,
  openStored,
  type StoredObject,
  type StoredOctets,
} from './large-store.ts';
import { type Place, S3Upload } from './s3-upload.ts';
import { type SpoolKey, StreamSealer } from './seal.ts';

/** Chunks per read: 4 MiB. */
const chunksOfRead = 16;
/** Octets per read of what stays sealed. */
const sealedRead = 4 * 1024 * 1024;
/** How often an interrupted body is requested again. */
const bodyRepeats = 2;
const idPattern = /^[0-9a-f]{32}$/;

/** Seals what it uploads. */
class S3Writer implements LargeWriter {
  #upload: S3Upload;
  #release: () => void;
  /** Undefined for octets that are already sealed. */
  #sealer: StreamSealer | undefined;

  constructor(upload: S3Upload, sealer: StreamSealer | undefined, release: () => void) {
    this.#upload = upload;
    this.#release = release;
    this.#sealer = sealer;
    if (sealer) this.#upload.hold([sealer.header]);
  }

  write(octets: Buffer): Promise<void> | undefined {
    return this.#upload.write(this.#sealer?.seal(octets) ?? [octets]);
  }

  async finish(): Promise<void> {
    this.#upload.hold(this.#sealer?.end() ?? []);
    await this.#upload.finish();
    this.#release();
  }

  async abort(): Promise<void> {
    this.#release();
    await this.#upload.abort();
  }
}

export class S3Store implements LargeStore {
  #bucket: S3Bucket;
  #key: SpoolKey;
  #log: Log;
  #slots: S3Slots;

  constructor(bucket: S3Bucket, key: SpoolKey, log: Log) {
    this.#bucket = bucket;
    this.#key = key;
    this.#log = log;
    const { uploads, timeout } = bucket.settings;
    this.#slots = new S3Slots(uploads, timeout);
  }

  create(id: string): Promise<LargeWriter> {
    return this.#writer(id, new StreamSealer(this.#key, id));
  }

  createSealed(id: string): Promise<LargeWriter> {
    return this.#writer(id, undefined);
  }

  async #writer(id: string, sealer: StreamSealer | undefined): Promise<LargeWriter> {
    const release = await this.#slots.take();
    return new S3Writer(new S3Upload(this.#bucket, this.#place(id)), sealer, release);
  }

  async *sealed(id: string): AsyncGenerator<Buffer> {
    for (let at = 0; ; ) {
      const { octets, size } = await this.#read(id, at, at + sealedRead - 1);
      yield octets;
      at += octets.length;
      if (at >= size) return;
    }
  }

  open(id: string): AsyncGenerator<Buffer> {
    return openStored(this.#key, id, chunksOfRead, (from, length) => this.#read(id, from, from + length - 1));
  }

  async remove(id: string): Promise<void> {
    try {
      await this.#delete(this.#place(id));
    } catch (err) {
      // the message has ended anyway, and nothing refers to the octets any more
      if (!isStoreAway(err)) throw err;
      this.#log.warn({ err }, 'stored octets are left to the sweep');
    }
  }

  /** None: an upload does not name its owner, so it is removed by age. */
  async removeDead(): Promise<number> {
    return 0;
  }

  async *objects(): AsyncGenerator<StoredObject> {
    const { bucket: Bucket, prefix: Prefix } = this.#bucket.settings;
    for (let ContinuationToken: string | undefined; ; ) {
      const input = { Bucket, Prefix, ...(ContinuationToken === undefined ? {} : { ContinuationToken }) };
      const page = await this.#bucket.request('list', (client) =>
        client.send(new ListObjectsV2Command(input)),
      );
      for (const { Key = '', LastModified } of page.Contents ?? []) {
        const id = this.#idOf(Key);
        if (id === undefined || LastModified === undefined) continue;
        yield { id, modifiedAt: LastModified.getTime(), remove: () => this.#delete({ Bucket, Key }) };
      }
      ContinuationToken = page.NextContinuationToken;
      if (ContinuationToken === undefined) break;
    }
    yield* this.#uploads();
  }

  trouble(): SealpostError | null {
    return this.#bucket.trouble();
  }

  close(): void {
    this.#bucket.close();
  }

  /** Uploads that were neither completed nor aborted, because their process died. */
  async *#uploads(): AsyncGenerator<StoredObject> {
    const { bucket: Bucket, prefix: Prefix } = this.#bucket.settings;
    for (let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}; marker; ) {
      const input: ListMultipartUploadsCommandInput = { Bucket, Prefix, ...marker };
      const page: ListMultipartUploadsCommandOutput = await this.#bucket.request('list', (client) =>
        client.send(new ListMultipartUploadsCommand(input)),
      );
      for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
        const id = this.#idOf(Key);
        if (id === undefined || UploadId === undefined || Initiated === undefined) continue;
        const upload = { Bucket, Key, UploadId };
        yield { id, modifiedAt: Initiated.getTime(), remove: () => this.#abort(upload) };
      }
      const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
      marker =
        IsTruncated === true && KeyMarker !== undefined && UploadIdMarker !== undefined
          ? { KeyMarker, UploadIdMarker }
          : undefined;
    }
  }

  async #abort(upload: Place & { UploadId: string }): Promise<void> {
    await this.#bucket
      .request('abort', (client) => client.send(new AbortMultipartUploadCommand(upload)))
      .catch((error: unknown) => {
        if (!isNotThere(error)) throw error;
      });
  }

  async #delete(place: Place): Promise<void> {
    await this.#bucket.remove(place);
  }

  /** The octets from `first` to `last`, and the size of the whole. */
  async #read(id: string, first: number, last: number): Promise<StoredOctets> {
    const input = { ...this.#place(id), Range: `bytes=${first}-${last}` };
    const { timeout } = this.#bucket.settings;
    const attempt = async (client: S3Client): Promise<StoredOctets> => {
      const abortSignal = AbortSignal.timeout(timeout);
      const { Body, ContentRange } = await client.send(new GetObjectCommand(input), { abortSignal });
      const size = Number(/\/(\d+)$/.exec(ContentRange ?? '')?.[1]);
      const octets = Buffer.from((await Body?.transformToByteArray()) ?? []);
      if (octets.length !== Math.min(last + 1, size) - first)
        throw new SealpostError('spool-unreachable', 'object store: get: not the range that was asked for');
      return { octets, size };
    };
    return await this.#bucket.request('get', async (client) => {
      // the client retries a request by itself, but not if the body of the answer is interrupted
      for (let left = bodyRepeats; ; left -= 1) {
        try {
          return await attempt(client);
        } catch (error) {
          if (left === 0 || (error instanceof Error && '$metadata' in error)) throw error;
        }
      }
    });
  }

  #place(id: string): Place {
    const { bucket, prefix } = this.#bucket.settings;
    return { Bucket: bucket, Key: `${prefix}${id.slice(0, 2)}/${id}` };
  }

  /** The id in the name of an object; undefined for objects that are not ours. */
  #idOf(key: string): string | undefined {
    const id = key.slice(-32);
    return idPattern.test(id) && key === this.#place(id).Key ? id : undefined;
  }
}

/** Stores, reads and removes an object, as for a message. Errors: those of the store. */
export async function probeS3Store(settings: S3Settings, log: Log): Promise<void> {
  const store = new S3Store(new S3Bucket(settings, log), createSecretKey(randomBytes(32)), log);
  const id = randomBytes(16).toString('hex');
  try {
    const writer = await store.create(id);
    await writer.write(Buffer.from('sealpost check'));
    await writer.finish();
    for await (const _ of store.open(id));
    await store.remove(id);
  } finally {
    store.close();
  }
}

/** Opens the store and probes it. `trouble` tells whether it is unreachable. */
export async function openS3Store(settings: S3Settings, key: SpoolKey, log: Log): Promise<S3Store> {
  const bucket = new S3Bucket(settings, log);
  await bucket.probe();
  return new S3Store(bucket, key, log);
}

/**
 * Limits how many uploads hold a part in memory at a time. A caller that has to wait too long is refused, and should
 * try again.
 */
export class S3Slots {
  #free: number;
  #waitMs: number;
  #waiting: (() => void)[] = [];

  constructor(atATime: number, waitMs: number) {
    this.#free = atATime;
    this.#waitMs = waitMs;
  }

  /** Returns a function that admits the next one, and counts only once. Errors: `queue-full`. */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait();
    let held = true;
    return () => {
      if (held) this.#leave();
      held = false;
    };
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(
          new SealpostError('queue-full', 'as many large messages as spool.s3.uploads are being stored', {
            hint: 'try again later; raise spool.s3.uploads when this is usual',
          }),
        );
      }, this.#waitMs);
      this.#waiting.push(enter);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
