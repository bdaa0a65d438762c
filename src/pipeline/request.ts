/**
 * What a client may ask for besides the mail itself: metadata, an idempotency key, and when and how urgently it is
 * sent.
 */
import { SealpostError } from '../errors.ts';
import { decodeWords, type HeaderBlock, type HeaderField, traceField } from '../message/index.ts';
import type { DeliveryOptions } from '../queue/index.ts';

export interface Request {
  /** Key-value pairs that the client chose. */
  metadata?: Record<string, string> | undefined;
  idempotencyKey?: string | undefined;
  delivery?: DeliveryOptions | undefined;
}

const mostPairs = 20;
const longestValue = 500;
const mostMetadata = 4096;
const pairName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const keyForm = /^[!-~]{1,200}$/;

const invalid = (what: string, hint: string) => new SealpostError('request-invalid', what, { hint });

/**
 * Checks a request as a whole.
 *
 * @param now milliseconds since the epoch
 * @throws {SealpostError} `request-invalid`
 */
export function checkRequest({ metadata, idempotencyKey, delivery }: Request, now: number): void {
  if (metadata !== undefined) checkMetadata(metadata);
  if (idempotencyKey !== undefined && !keyForm.test(idempotencyKey))
    throw invalid('the idempotency key is empty, too long or has other characters', 'use 1 to 200 of ASCII');
  // whether a repetition comes in time does not matter, because the message may have left long ago
  if (delivery !== undefined) checkDelivery(delivery, idempotencyKey === undefined ? now : 0);
}

/** Whether the request can only repeat a known message, because a new one would have expired. */
export const isOver = ({ delivery }: Request, now: number): boolean =>
  delivery?.notAfter !== undefined && delivery.notAfter <= now;

function checkMetadata(metadata: Record<string, string>): void {
  const pairs = Object.entries(metadata);
  if (pairs.length > mostPairs) throw invalid('metadata has too many pairs', `at most ${mostPairs}`);
  let octets = 0;
  for (const [name, value] of pairs) {
    const what = `metadata ${JSON.stringify(name.slice(0, 80))}`;
    if (!pairName.test(name))
      throw invalid(`${what}: not a name`, 'use up to 64 letters, digits, dot, hyphen and underscore');
    if (value.length > longestValue)
      throw invalid(`${what}: the value is too long`, `at most ${longestValue}`);
    if (/\p{Cc}|\p{Cs}/u.test(value))
      throw invalid(`${what}: the value has a control character`, 'write text of one line');
    octets += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (octets > mostMetadata) throw invalid('metadata is too large', `at most ${mostMetadata} octets in all`);
}

function checkDelivery({ priority, notBefore, notAfter }: DeliveryOptions, now: number): void {
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 1 && priority <= 10))
    throw invalid('priority is not a whole number from 1 to 10', '1 is first, 10 is last');
  for (const [name, time] of Object.entries({ notBefore, notAfter }))
    if (time !== undefined && !Number.isSafeInteger(time))
      throw invalid(`${name} is not a time`, 'write it as 2026-12-01T08:00:00Z');
  if (notAfter !== undefined && notAfter <= Math.max(now, notBefore ?? 0))
    throw invalid('notAfter is not after now and notBefore', 'leave it out for a message that never expires');
}

/**
 * Fields of a mail that are meant for Sealpost, and are never sent. Trace fields are: they stop a mail that comes back.
 */
const fieldPrefix = 'x-sealpost-';
const trace = traceField.toLowerCase();

const isRequest = ({ key }: HeaderField) => key.startsWith(fieldPrefix) && key !== trace;

/** What the fields of a mail ask for. Errors: `request-invalid` for a field that is unknown, repeated or malformed. */
export function requestOfFields(headers: HeaderBlock): Request {
  const pairs: [string, string][] = [];
  const once = new Map<string, string>();
  for (const { key, name, value: written } of headers.fields.filter(isRequest)) {
    const what = key.slice(fieldPrefix.length);
    // mail libraries encode non-ASCII text, and words that are too long for a line (RFC 2047)
    const value = decodeWords(written);
    if (what === 'metadata') {
      const equals = value.indexOf('=');
      if (equals < 1) throw invalid(`${name} has no name and value`, 'write name=value');
      pairs.push([value.slice(0, equals).trim(), value.slice(equals + 1).trim()]);
    } else if (once.has(what)) throw invalid(`${name} is repeated`, 'write it once');
    else once.set(what, value);
  }
  const repeated = pairs.find(([name], at) => pairs.findIndex((each) => each[0] === name) !== at);
  if (repeated !== undefined)
    throw invalid(`metadata ${JSON.stringify(repeated[0])} is repeated`, 'write it once');
  const delivery: DeliveryOptions = {};
  const request: Request = {};
  for (const [what, value] of once) {
    if (what === 'idempotency-key') request.idempotencyKey = value;
    else if (what === 'priority') delivery.priority = /^\d{1,2}$/.test(value) ? Number(value) : Number.NaN;
    else if (what === 'not-before') delivery.notBefore = timeOf(value);
    else if (what === 'not-after') delivery.notAfter = timeOf(value);
    else throw invalid(`there is no field X-Sealpost-${what.slice(0, 60)}`, 'docs/sending.md has the list');
  }
  if (Object.keys(delivery).length > 0) request.delivery = delivery;
  if (pairs.length > 0) request.metadata = Object.fromEntries(pairs);
  return request;
}

/**
 * Fields that only the server adds which puts a mail into a mailbox (RFC 5321, section 4.4, RFC 9228, and those of Exim
 * and Postfix). A mail that begins its way has none: they would tell a partner of mailboxes and of a way that ended.
 */
const ofDelivery: ReadonlySet<string> = new Set([
  ...['return-path', 'delivered-to', 'x-delivered-to', 'x-original-to'],
  ...['envelope-to', 'x-envelope-to', 'delivery-date'],
]);

/** The header as it leaves: without the fields that are meant for Sealpost, and those of a delivery. */
export function thatLeaves({ fields, raw }: HeaderBlock): Buffer {
  const kept = fields.filter((field) => !isRequest(field) && !ofDelivery.has(field.key));
  if (kept.length === fields.length) return raw;
  const octets = fields.reduce((sum, field) => sum + field.raw.length, 0);
  return Buffer.concat([...kept.map((field) => field.raw), raw.subarray(octets)]);
}

const timeForm = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/;

/**
 * A time with its zone (RFC 3339), in milliseconds since the epoch; NaN if it is not one.
 */
export function timeOf(text: string): number {
  const [, day] = timeForm.exec(text) ?? [];
  if (day === undefined) return Number.NaN;
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Date.parse takes 2027-02-30 for 2027-03-02
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(day)) return Number.NaN;
  return Date.parse(text);
}
