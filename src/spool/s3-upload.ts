/** One object on its way into a bucket. */
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { SealpostError } from '../errors.ts';
import { isNotThere, type S3Bucket } from './bucket.ts';

/** Octets from which on a part is sent. S3 takes no smaller parts except for the last, and at most 10,000 of them. */
const partSize = 5 * 1024 * 1024;

export interface Place {
  Bucket: string;
  Key: string;
}

/**
 * Anything smaller than a part is uploaded in one request; larger octets go up in parts as they come. The object exists
 * completely or not at all. Calls must not overlap. Errors: those of the bucket.
 */
export class S3Upload {
  readonly #bucket: S3Bucket;
  readonly #place: Place;
  readonly #contentType: string;
  #held: Buffer[] = [];
  #size = 0;
  #upload: string | undefined;
  #parts: CompletedPart[] = [];

  constructor(bucket: S3Bucket, place: Place, contentType = 'application/octet-stream') {
    this.#bucket = bucket;
    this.#place = place;
    this.#contentType = contentType;
  }

  /** Takes octets without sending them yet. */
  hold(octets: readonly Buffer[]): void {
    for (const each of octets) {
      this.#held.push(each);
      this.#size += each.length;
    }
  }

  /** If it returns a promise, wait for it before the next call. */
  write(octets: readonly Buffer[]): Promise<void> | undefined {
    this.hold(octets);
    return this.#size < partSize ? undefined : this.#sendPart();
  }

  async finish(): Promise<void> {
    if (this.#upload === undefined) {
      const input = { ...this.#place, Body: this.#taken(), ContentType: this.#contentType };
      await this.#bucket.request('put', (client) => client.send(new PutObjectCommand(input)));
    } else {
      await this.#sendPart();
      await this.#complete(this.#upload);
    }
  }

  /** Does not throw. An upload that cannot be aborted now stays until somebody sweeps it. */
  async abort(): Promise<void> {
    this.#held = [];
    const UploadId = this.#upload;
    this.#upload = undefined;
    if (UploadId === undefined) return;
    await this.#bucket
      .request('abort', (client) =>
        client.send(new AbortMultipartUploadCommand({ ...this.#place, UploadId })),
      )
      .catch(() => undefined);
  }

  #taken(): Buffer {
    const octets = Buffer.concat(this.#held);
    this.#held = [];
    this.#size = 0;
    return octets;
  }

  async #sendPart(): Promise<void> {
    const UploadId = this.#upload ?? (await this.#begin());
    const PartNumber = this.#parts.length + 1;
    const input = { ...this.#place, UploadId, PartNumber, Body: this.#taken() };
    const { ETag } = await this.#bucket.request('part', (client) =>
      client.send(new UploadPartCommand(input)),
    );
    this.#parts.push({ PartNumber, ...(ETag === undefined ? {} : { ETag }) });
  }

  async #begin(): Promise<string> {
    const input = { ...this.#place, ContentType: this.#contentType };
    const { UploadId } = await this.#bucket.request('begin', (client) =>
      client.send(new CreateMultipartUploadCommand(input)),
    );
    if (UploadId === undefined)
      throw new SealpostError('spool-refused', 'object store: begin: it gave no id of the upload');
    this.#upload = UploadId;
    return UploadId;
  }

  async #complete(UploadId: string): Promise<void> {
    const input = { ...this.#place, UploadId, MultipartUpload: { Parts: this.#parts } };
    try {
      await this.#bucket.request('complete', (client) =>
        client.send(new CompleteMultipartUploadCommand(input)),
      );
    } catch (error) {
      // The answer to an attempt was lost, and the client's retry found the upload ended. Check whether the object
      // exists.
      if (!isNotThere(error)) throw error;
      await this.#bucket.request('head', (client) => client.send(new HeadObjectCommand(this.#place)));
    }
  }
}
