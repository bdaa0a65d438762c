/**
 * Requests to a bucket, whether the spool's or a destination's. This is the only file that interprets failures of the
 * client and knows whether the store is unreachable. While it is, requests fail at once instead of each waiting and
 * retrying, until a probe succeeds.
 */
import { DeleteObjectCommand, ListObjectsV2Command, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { type Config, readPublicFile, readSecret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { counter } from '../metrics.ts';
import { isStoreAway } from './large-store.ts';

export type S3Settings = NonNullable<Config['spool']['s3']>;

/** What a store is called in messages, and the settings that say where it is. */
export interface StoreName {
  what: string;
  settings: string;
}

const spoolStore: StoreName = { what: 'object store', settings: 'spool.s3' };

const requests = counter(
  'object_store_requests_total',
  'Requests to the object store, by outcome (ok, code).',
  ['what', 'outcome'],
);

/** Attempts per request by the client, with its own short, jittered waits. */
const attempts = 3;
/**
 * While the store is unreachable, one request gets through per this many milliseconds, even if nothing else probes it.
 */
const letThrough = 10_000;
const noSuchThing = new Set(['NoSuchKey', 'NotFound', 'NoSuchUpload']);
const fullNames = new Set([
  'QuotaExceeded',
  'XMinioStorageFull',
  'InsufficientStorage',
  'ServiceQuotaExceeded',
]);

/** Statuses that refuse any request, not just this one. */
const refusingStatus = new Set([301, 307, 401, 403, 404]);
const refusingNames = /Authorization|AccessKey|Bucket|Token|Skewed/;

interface Failure {
  name: string;
  status: number | undefined;
}

function failureOf(error: unknown): Failure {
  const name = error instanceof Error ? error.name : '';
  if (typeof error !== 'object' || error === null || !('$metadata' in error))
    return { name, status: undefined };
  const meta = error.$metadata;
  const status = typeof meta === 'object' && meta !== null && 'httpStatusCode' in meta && meta.httpStatusCode;
  return { name, status: typeof status === 'number' ? status : undefined };
}

/** True if the store says that the object or upload itself does not exist. */
export function isNotThere(error: unknown): boolean {
  return error instanceof SealpostError ? isNotThere(error.cause) : noSuchThing.has(failureOf(error).name);
}

/** The message contains the store's error name but not its text, which may repeat keys from requests. */
function errorOf(request: string, cause: unknown, store: StoreName): SealpostError {
  const what = `${store.what}: ${request}`;
  if (cause instanceof SealpostError)
    return cause.code.startsWith('spool-')
      ? cause
      : new SealpostError('spool-refused', `${what}: ${cause.message}`, { cause });
  const { name, status } = failureOf(cause);
  const said = [name === 'Error' ? '' : name, status].filter(Boolean).join(' ');
  const brief = said === '' ? '' : ` (${said})`;
  if (noSuchThing.has(name)) return new SealpostError('spool-missing', `${what}: not there`, { cause });
  if (fullNames.has(name) || status === 507)
    return new SealpostError('spool-full', `${what}: no room${brief}`, {
      hint: 'free space or raise the quota of the bucket',
      cause,
    });
  const away =
    status === undefined ? !/Credentials/i.test(name) : status >= 500 || status === 429 || status === 408;
  if (away)
    return new SealpostError('spool-unreachable', `${what}: it does not answer${brief}`, {
      hint: `check ${store.settings}.endpoint and the store; it goes on by itself when the store is back`,
      cause,
    });
  // nothing at that position: the object is shorter than it was
  if (status === 416) return new SealpostError('spool-corrupt', `${what}: it was cut`, { cause });
  if (status !== undefined && !refusingStatus.has(status) && !refusingNames.test(name))
    return new SealpostError('spool-write', `${what}: it rejects the request${brief}`, {
      cause,
    });
  return new SealpostError('spool-refused', `${what}: it refuses${brief}`, {
    hint: 'check bucket, region, credentials and rights, and the clock of this machine',
    cause,
  });
}

function clientConfig(s3: S3Settings): S3ClientConfig {
  const { endpoint, region, accessKeyId, secretAccessKey, ca } = s3;
  const sockets = { keepAlive: true, maxSockets: 2 * s3.uploads };
  return {
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: s3.pathStyle,
    ...(accessKeyId && secretAccessKey
      ? {
          // read when they are needed, so that renewed files take effect
          credentials: async () => ({
            accessKeyId: readSecret(accessKeyId),
            secretAccessKey: readSecret(secretAccessKey),
            expiration: new Date(Date.now() + 15 * 60_000),
          }),
        }
      : {}),
    maxAttempts: attempts,
    // with it, the client sends large bodies over an agent of its own, without the settings below
    expectContinueHeader: false,
    // each request is signed with the SHA-256 of its body, which every store checks; not all stores support newer
    // checksums
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: s3.connectTimeout,
      requestTimeout: s3.timeout,
      throwOnRequestTimeout: true,
      httpAgent: sockets,
      httpsAgent: { ...sockets, ...(ca === undefined ? {} : { ca: readPublicFile(ca) }) },
    },
  };
}

export class S3Bucket {
  readonly settings: S3Settings;
  #client: S3Client;
  #log: Log;
  #trouble: SealpostError | null = null;
  #heardAt = 0;
  #probing: Promise<void> | undefined;
  readonly #name: StoreName;

  /** `file-access` for the CA file. */
  constructor(settings: S3Settings, log: Log, name: StoreName = spoolStore) {
    this.settings = settings;
    this.#client = new S3Client(clientConfig(settings));
    this.#log = log;
    this.#name = name;
  }

  /**
   * One request, which `work` sends. Errors: `spool-unreachable`, `spool-refused`, `spool-full`, `spool-missing`,
   * `spool-write`, `spool-corrupt`.
   */
  async request<T>(what: string, work: (client: S3Client) => Promise<T>): Promise<T> {
    if (this.#trouble) {
      if (performance.now() - this.#heardAt < letThrough) throw this.#trouble;
      this.#heardAt = performance.now();
    }
    return await this.#send(what, work);
  }

  /** Removes an object, whether it exists or not. Errors: those of `request`. */
  async remove(place: { Bucket: string; Key: string }): Promise<void> {
    await this.request('delete', (client) => client.send(new DeleteObjectCommand(place)));
  }

  /** Why the store cannot be used. As long as there is a reason, each call probes the store again in the background. */
  trouble(): SealpostError | null {
    if (this.#trouble) void this.probe();
    return this.#trouble;
  }

  /** Lists one object, which tests address, credentials and bucket. Does not throw. */
  probe(): Promise<void> {
    this.#probing ??= this.#send('list', (client) =>
      client.send(
        new ListObjectsV2Command({
          Bucket: this.settings.bucket,
          Prefix: this.settings.prefix,
          MaxKeys: 1,
        }),
      ),
    )
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        this.#probing = undefined;
      });
    return this.#probing;
  }

  close(): void {
    this.#client.destroy();
  }

  async #send<T>(what: string, work: (client: S3Client) => Promise<T>): Promise<T> {
    try {
      const result = await work(this.#client);
      requests.inc({ what, outcome: 'ok' });
      this.#judge(null);
      return result;
    } catch (cause) {
      const error = errorOf(what, cause, this.#name);
      requests.inc({ what, outcome: error.code });
      this.#judge(error);
      throw error;
    }
  }

  #judge(error: SealpostError | null): void {
    const away = isStoreAway(error) ? error : null;
    this.#heardAt = performance.now();
    if (away && !this.#trouble) this.#log.warn({ err: away }, `the ${this.#name.what} is away`);
    if (!away && this.#trouble) this.#log.info(`the ${this.#name.what} is back`);
    this.#trouble = away;
  }
}
