import { randomUUID } from 'node:crypto';
import type { DestinationConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Sink } from '../message/index.ts';
import { type Outcome, outcomeOf } from '../queue/index.ts';
import { type Bucket, type BucketUpload, openBucket } from '../spool/index.ts';
import { folderTime, safeId } from '../volume.ts';
import { attemptLimits, foreignCode, stopped } from './attempt.ts';
import { chooseBodyPart } from './body-part.ts';
import { type PartFile, partFile, partsJson } from './folder.ts';
import { composeStreamed } from './message.ts';
import { idInNames, pieceFileName } from './names.ts';
import { ownPartnerOf } from './party.ts';
import type { Delivery, Destination, DestinationDeps, FailureReport } from './types.ts';
import { createWalker, type PartFacts } from './walk.ts';

type BucketConfig = Extract<DestinationConfig, { type: 's3' }>;

/** Octets of content that are decoded before we wait for their uploads. */
const STEP = 256 * 1024;

/**
 * Each message becomes objects whose names begin with `key`:
 * - `message.eml`: the decoded message,
 * - `parts/NN-<name>`: every part, decoded, and `parts.json` about them,
 * - `pieces/<path>.eml`: the content of each S/MIME part below the message,
 * - `verdict.json`: the verdict. It comes last, so a message whose verdict is there is complete.
 *
 * The names are the same for every attempt, so a repeated one writes the same objects again.
 */
export async function createBucketDestination(
  config: BucketConfig,
  deps: DestinationDeps,
): Promise<Destination> {
  const { type, name: given, key, ...settings } = config;
  const name = given ?? type;
  const bucket = await openBucket(settings, deps.log, { what: `bucket of ${name}`, settings: name });

  async function deliver(delivery: Delivery, signal: AbortSignal): Promise<Outcome> {
    const prefix = filled(key, {
      mailbox: delivery.mailbox,
      partner: ownPartnerOf(delivery.verdict),
      receivedAt: delivery.receivedAt,
      id: idInNames(delivery),
    });
    const objects = new Objects(bucket, prefix, signal);
    try {
      await writeMessage(objects, delivery, deps);
    } catch (error) {
      await objects.abort();
      throw error;
    }
    return { done: true, facts: { bucket: config.bucket, key: prefix, objects: objects.written } };
  }

  async function report({ document, original }: FailureReport, signal: AbortSignal): Promise<Outcome> {
    const { mailbox, partner, receivedAt, idempotencyKey } = document;
    const owner = mailbox ?? partner ?? 'unknown';
    const prefix = filled(key, {
      mailbox: owner,
      partner,
      receivedAt: Date.parse(receivedAt),
      id: idempotencyKey,
    });
    const objects = new Objects(bucket, prefix, signal);
    try {
      if (original) await objects.putAll('original.eml', 'message/rfc822', original.open());
      const found = original === undefined ? {} : { original: original && { file: 'original.eml' } };
      await objects.put('report.json', 'application/json', json({ ...document, ...found }));
    } catch (error) {
      await objects.abort();
      throw error;
    }
    return { done: true, facts: { bucket: config.bucket, key: prefix } };
  }

  async function guarded(signal: AbortSignal, work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return stopped;
      const refused = error instanceof BucketError ? error : undefined;
      const own = refused === undefined ? outcomeOf(error) : undefined;
      if (own !== undefined) return own;
      const why = refused?.message ?? foreignCode(error);
      const message = `destination ${name} could not write into bucket ${config.bucket}: ${why}`;
      return { retry: 'handoff-failed', facts: { message }, peer: 'down' };
    }
  }

  return {
    name,
    deliver: (delivery, signal) => guarded(signal, () => deliver(delivery, signal)),
    report: (failure, signal) => guarded(signal, () => report(failure, signal)),
    async close() {
      bucket.close();
    },
  };
}

/**
 * Stores a small object where the destination would, and removes it. Resolves with the name of an object that could not
 * be removed, since a destination needs no permission for that.
 *
 * Errors: `handoff-failed`, with what to do; `file-access`.
 */
export async function probeBucket(config: BucketConfig, log: Log, now: number): Promise<string | undefined> {
  const { type, name: given, key, ...settings } = config;
  const name = given ?? type;
  const bucket = await openBucket(settings, log, { what: `bucket of ${name}`, settings: name });
  const facts = {
    mailbox: 'sealpost-check',
    partner: null,
    receivedAt: now,
    id: `sealpost-check-${randomUUID()}`,
  };
  const object = `${filled(key, facts)}test.txt`;
  try {
    const upload = bucket.upload(object, 'text/plain');
    await upload.write([Buffer.from('A test by sealpost check --online. You may remove it.\n')]);
    await upload.finish();
    return await bucket.remove(object).then(
      () => undefined,
      () => object,
    );
  } catch (cause) {
    if (!(cause instanceof SealpostError) || !cause.code.startsWith('spool-')) throw cause;
    const hint = cause.hint ?? 'check bucket, endpoint and credentials of the destination';
    throw new SealpostError('handoff-failed', cause.message, { hint, cause });
  } finally {
    bucket.close();
  }
}

/** What the destination's store said. The error has a code of the spool, whose trouble is a different matter. */
class BucketError extends Error {}

async function asked<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    throw cause instanceof SealpostError ? new BucketError(cause.message, { cause }) : cause;
  }
}

/** The objects of one message, and the uploads under way. */
class Objects {
  readonly #bucket: Bucket;
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #open = new Set<BucketUpload>();
  written = 0;

  constructor(bucket: Bucket, prefix: string, signal: AbortSignal) {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#signal = signal;
  }

  begin(file: string, contentType: string): BucketUpload {
    const upload = this.#bucket.upload(this.#prefix + file, contentType);
    this.#open.add(upload);
    return upload;
  }

  async write(upload: BucketUpload, octets: Buffer): Promise<void> {
    this.#signal.throwIfAborted();
    const sent = upload.write([octets]);
    if (sent !== undefined) await asked(sent);
  }

  async finish(upload: BucketUpload): Promise<void> {
    this.#signal.throwIfAborted();
    await asked(upload.finish());
    this.#open.delete(upload);
    this.written += 1;
  }

  async put(file: string, contentType: string, octets: Buffer): Promise<void> {
    await this.putAll(file, contentType, [octets]);
  }

  async putAll(
    file: string,
    contentType: string,
    octets: AsyncIterable<Buffer> | Iterable<Buffer>,
  ): Promise<void> {
    const upload = this.begin(file, contentType);
    for await (const each of octets) await this.write(upload, each);
    await this.finish(upload);
  }

  async abort(): Promise<void> {
    await Promise.all([...this.#open].map((upload) => upload.abort()));
  }
}

async function writeMessage(objects: Objects, delivery: Delivery, deps: DestinationDeps): Promise<void> {
  const limits = attemptLimits(deps.limits, delivery.contentOctets);
  const message = await composeStreamed(delivery, limits);
  const parts = new PartObjects(objects);
  const walker = createWalker(message.kind, (facts) => parts.sink(facts), limits);
  const eml = objects.begin('message.eml', 'message/rfc822');
  await objects.write(eml, message.prefix);
  for await (const chunk of delivery.content())
    for (let at = 0; at < chunk.length; at += STEP) {
      const step = chunk.subarray(at, at + STEP);
      await objects.write(eml, step);
      walker.write(step);
      await parts.run();
    }
  walker.end();
  await parts.run();
  await objects.finish(eml);
  const body = chooseBodyPart(parts.files, deps.bodyPart);
  await objects.put('parts.json', 'application/json', Buffer.from(partsJson(parts.files, body)));
  for (const piece of delivery.pieces) {
    const file = `pieces/${pieceFileName(piece.path, piece.contentType)}`;
    await objects.putAll(file, 'application/octet-stream', piece.content());
  }
  await objects.put('verdict.json', 'application/json', json(delivery.verdict));
}

type Step = { part: PartFacts } | { chunk: Buffer } | { end: true };

/** Uploads the parts that the synchronous walker finds, one after the other. */
class PartObjects {
  readonly files: PartFile[] = [];
  readonly #objects: Objects;
  readonly #steps: Step[] = [];
  #upload: BucketUpload | undefined;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  sink(part: PartFacts): Sink {
    this.#steps.push({ part });
    return {
      write: (chunk) => void this.#steps.push({ chunk }),
      end: () => void this.#steps.push({ end: true }),
    };
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0)) {
      if ('part' in step) {
        const file = partFile(step.part, 0);
        this.files.push(file);
        // a browser that is shown the object must not run it, whatever type the sender declared
        this.#upload = this.#objects.begin(`parts/${file.file}`, 'application/octet-stream');
      } else if (this.#upload === undefined) continue;
      else if ('chunk' in step) {
        await this.#objects.write(this.#upload, step.chunk);
        const file = this.files.at(-1);
        if (file !== undefined) file.octets += step.chunk.length;
      } else {
        await this.#objects.finish(this.#upload);
        this.#upload = undefined;
      }
    }
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Fills in the template with values from the message. Names of mailboxes and partners contain no slash. */
function filled(
  template: string,
  facts: { mailbox: string; partner: string | null; receivedAt: number; id: string },
): string {
  const values: Record<string, string> = {
    mailbox: facts.mailbox,
    partner: facts.partner ?? 'unknown',
    date: new Date(facts.receivedAt).toISOString().slice(0, 10),
    time: folderTime(facts.receivedAt),
    id: safeId(facts.id),
  };
  return template.replace(/\{(\w+)\}/g, (all, name: string) => values[name] ?? all);
}
