/**
 * A request in a job: JSON and the octets of the message, sealed as one. Its form is the same on both sides:
 *
 *     length of the JSON (4 octets, big-endian), the JSON, the octets
 *
 * Nothing else is in the job, so nobody who reads Redis learns what is sent, or to whom.
 */
import type { KeyObject } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import { open, seal } from './hpke.ts';

export interface SealedRequest {
  /** Name of the partner; or addresses of partners. */
  partner?: string | undefined;
  recipients?: readonly string[] | undefined;
  /** Envelope sender. */
  from?: string | undefined;
  /** The octets are a mail with its header. */
  mail?: boolean | undefined;
  /** Of content that becomes the attachment of a new mail. */
  filename?: string | undefined;
  contentType?: string | undefined;
  subject?: string | undefined;
  /** Pairs of your own. */
  metadata?: Readonly<Record<string, string>> | undefined;
  idempotencyKey: string;
  /** 1 is first, 10 is last. */
  priority?: number | undefined;
  /** Milliseconds since the epoch. */
  notBefore?: number | undefined;
  notAfter?: number | undefined;
}

/** What each field must be. */
const fields: Record<keyof SealedRequest, (value: unknown) => boolean> = {
  partner: isText,
  recipients: (value) => Array.isArray(value) && value.length <= 1000 && value.every(isText),
  from: isText,
  mail: (value) => typeof value === 'boolean',
  filename: isText,
  contentType: isText,
  subject: isText,
  metadata: (value) => isObject(value) && Object.values(value).every(isText),
  idempotencyKey: isText,
  priority: isNumber,
  notBefore: isNumber,
  notAfter: isNumber,
};

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 2000 && value.isWellFormed();
}
function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value);
}
function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const info = Buffer.from('sealpost submission v1');
const boundTo = (client: string) => Buffer.from(client.toLowerCase());
const invalid = (what: string) => new SealpostError('request-invalid', what);

/**
 * The `data` of a job.
 *
 * @param client its name, to which the request is bound
 */
export function sealRequest(key: KeyObject, client: string, request: SealedRequest, octets: Buffer): string {
  const json = Buffer.from(JSON.stringify(request));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  const sealed = seal(key, [length, json, octets], { info, aad: boundTo(client) });
  return JSON.stringify({ v: 1, sealed: sealed.toString('base64') });
}

/** Opens the `data` of a job. Errors: `request-invalid`. */
export function openRequest(
  key: KeyObject,
  client: string,
  data: string,
): { request: SealedRequest; octets: Buffer } {
  const job = parsed(data, 'the data of the job');
  const { sealed } = job;
  if (job.v !== 1 || typeof sealed !== 'string' || Object.keys(job).length !== 2)
    throw invalid('the data of the job is not {v: 1, sealed}');
  const plain = open(key, Buffer.from(sealed, 'base64'), { info, aad: boundTo(client) });
  const length = plain.length < 4 ? -1 : plain.readUInt32BE(0);
  if (length < 0 || length > plain.length - 4) throw invalid('the request in the job is cut');
  const request = checked(parsed(plain.subarray(4, 4 + length).toString(), 'the request in the job'));
  return { request, octets: plain.subarray(4 + length) };
}

function parsed(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(`${what} is not JSON`);
  }
  if (isObject(value)) return value;
  throw invalid(`${what} is not an object`);
}

function checked(value: Record<string, unknown>): SealedRequest {
  for (const [name, each] of Object.entries(value))
    if (!isField(name)) throw invalid(`there is no field ${JSON.stringify(name.slice(0, 60))}`);
    else if (!fields[name](each)) throw invalid(`${name} has the wrong form`);
  if (isRequest(value)) return value;
  throw invalid('idempotencyKey is missing');
}

const isField = (name: string): name is keyof SealedRequest => Object.hasOwn(fields, name);

/** @param value each of its fields was checked */
function isRequest(value: Record<string, unknown>): value is Record<string, unknown> & SealedRequest {
  return 'idempotencyKey' in value;
}
