/** What a destination is told about a suspended message. */
import { createHash } from 'node:crypto';
import { errorRow } from '../errors.ts';
import type { FailureJob, MessageRecord } from '../queue/index.ts';
import { largestInline } from './document.ts';
import type { FailureDocument, FailureReport } from './types.ts';

const steps = { inbound: 'decode', handoff: 'handoff', outbound: 'send' } as const;

/** Makes the report of a suspended message. */
export function failureDocument(
  job: FailureJob,
  record: MessageRecord,
  destination: string,
): FailureDocument {
  const { id, work, reason, facts, starts, turn, direction, owner } = job;
  const [, queue, to] = /^(inbound|handoff|outbound)(?:\.(.*))?$/.exec(work) ?? [];
  const step = queue === 'handoff' || queue === 'outbound' ? steps[queue] : steps.inbound;
  return {
    kind: 'suspended',
    id,
    idempotencyKey: `${id}.suspended.${work}.${turn}`,
    direction,
    mailbox: direction === 'inbound' ? owner : null,
    partner: record.partner,
    partnerBy: record.partnerBy,
    destination,
    failed: { step, to: to ?? null },
    reason: { code: reason, explanation: errorRow(reason)?.cause ?? 'see the facts', facts },
    receivedAt: new Date(record.receivedAt).toISOString(),
    suspendedAt: new Date(job.suspendedAt).toISOString(),
    starts,
    resumed: turn,
    envelope: record.envelope,
    origin: record.origin,
    messageId: record.messageId,
    octets: record.octets,
    sha256: record.sha256,
  };
}

/** The report, with the message in it if that is requested and it has at most `inlineLimit` octets. */
export async function failureWithOriginal(
  { document, original }: FailureReport,
  inlineLimit: number,
): Promise<object> {
  return { ...document, ...(await inlined(original, inlineLimit)) };
}

async function inlined(original: FailureReport['original'], inlineLimit: number): Promise<object> {
  if (original === undefined) return {};
  if (original === null) return { original: null };
  const { octets } = original;
  if (octets > Math.min(inlineLimit, largestInline)) return { original: { octets } };
  const pieces: Buffer[] = [];
  for await (const piece of original.open()) pieces.push(piece);
  const data = Buffer.concat(pieces);
  const sha256 = createHash('sha256').update(data).digest('hex');
  return { original: { octets, sha256, encoding: 'base64', data: data.toString('base64') } };
}
