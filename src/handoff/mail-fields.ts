/** The fields that a mail gets when it is handed on to a mail server, and those that nobody else may write. */
import { z } from 'zod';
import {
  type HeaderField,
  receivedField,
  traceField,
  withLineEnd,
  fieldWord as word,
} from '../message/index.ts';
import { partyOf } from './party.ts';
import type { Delivery, JsonValue } from './types.ts';

/** What the fields say about a verdict. It comes from the spool, so another version may have written it. */
const verdictFacts = z.object({
  encrypted: z.boolean().catch(false),
  signature: z.string().catch('none'),
  integrity: z.string().catch('none'),
  layers: z
    .array(
      z.object({
        signers: z
          .array(
            z.object({
              valid: z.boolean().catch(false),
              trusted: z.boolean().catch(false),
              emails: z.array(z.string()).catch([]),
              reason: z.string().nullish().catch(undefined),
            }),
          )
          .catch([]),
      }),
    )
    .catch([]),
});

type VerdictFacts = z.output<typeof verdictFacts>;

function readVerdict(verdict: JsonValue): VerdictFacts {
  return verdictFacts.parse(typeof verdict === 'object' && !Array.isArray(verdict) ? (verdict ?? {}) : {});
}

const ours = 'x-sealpost-';
const trace = traceField.toLowerCase();
/** Final delivery writes Return-Path, and only once (RFC 5321, section 4.4). */
const foreign = new Set(['authentication-results', 'return-path']);

/**
 * True for a field that would pass for ours, or for one of the server behind us (RFC 8601, section 5). Trace fields
 * stay, because they can only stop a mail.
 */
export function isForeign({ key }: HeaderField): boolean {
  return foreign.has(key) || (key.startsWith(ours) && key !== trace);
}

/** Signers that are named, at most. A message may have thousands. */
const mostSigners = 8;

/** The new fields, with CRLF line ends. */
export function ownFields(
  delivery: Delivery,
  { hostname, recipients, trace }: { hostname: string; recipients: readonly string[]; trace: string },
): Buffer {
  const verdict = readVerdict(delivery.verdict);
  const { partner, partnerBy } = partyOf(delivery.verdict);
  const fields = [
    `Authentication-Results: ${hostname};\r\n ${resultsOf(verdict).join(';\r\n ')}`,
    `X-Sealpost-Id: ${word(delivery.id)}`,
    `X-Sealpost-Idempotency-Key: ${word(delivery.idempotencyKey)}`,
    `X-Sealpost-Mailbox: ${word(delivery.mailbox)}`,
    ...(partner ? [`X-Sealpost-Partner: ${word(partner)}`] : []),
    ...(partnerBy ? [`X-Sealpost-Partner-By: ${partnerBy}`] : []),
    `X-Sealpost-Encrypted: ${verdict.encrypted ? 'yes' : 'no'}`,
    `X-Sealpost-Signature: ${word(verdict.signature)}`,
    `X-Sealpost-Integrity: ${word(verdict.integrity)}`,
    `${traceField}: ${trace}`,
    receivedField(delivery, hostname, recipients),
  ];
  return Buffer.from(fields.map((field) => `${field}\r\n`).join(''), 'latin1');
}

/** RFC 8601 with the method `smime` of RFC 7281: one result for each signer. */
function resultsOf({ layers }: VerdictFacts): string[] {
  const signers = layers.flatMap((layer) => layer.signers);
  if (signers.length === 0) return ['smime=none'];
  return signers.slice(0, mostSigners).map(({ valid, trusted, emails, reason }) => {
    const result = valid && trusted ? 'pass' : 'fail';
    const why =
      result === 'pass' ? '' : ` (${valid ? 'untrusted' : 'invalid'}${reason ? `, ${word(reason)}` : ''})`;
    const [email] = emails.filter((each) => /^[!-~]{1,254}$/.test(each));
    const who = email === undefined ? '' : ` body.smime-identifier=${quoted(email)}`;
    return `smime=${result}${why}${who}`;
  });
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Ends each field so that the next one can follow. */
export function joinFields(fields: readonly HeaderField[]): Buffer {
  return Buffer.concat(fields.map(({ raw }) => withLineEnd(raw)));
}
