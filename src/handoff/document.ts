import type { MailboxConfig } from '../config/index.ts';
import type * as documents from '../documents/index.ts';
import { SealpostError } from '../errors.ts';
import { type MessageLimits, readMailHeader } from '../message/index.ts';
import { attemptLimits } from './attempt.ts';
import { chooseBodyPart } from './body-part.ts';
import { composeMessage, composeStreamed } from './message.ts';
import { drawForJson, readParts } from './parts.ts';
import { partyOf } from './party.ts';
import type { Delivery, DeliveryPiece, JsonValue, LocalDeps, SignedUrl, SignUrl } from './types.ts';

/** Larger content is never inlined in JSON, whatever `inlineLimit` says, because the text would not fit in memory. */
export const largestInline = 50 * 1024 * 1024;

/** What the webhook and the queue destination hand off. The verdict is opaque here. Times are ISO 8601 in UTC. */
export type HandoffDocument = Omit<documents.HandoffDocument, 'verdict'> & { verdict: JsonValue };

export type PieceJson = Pick<DeliveryPiece, 'path' | 'contentType' | 'octets' | 'sha256'> &
  ({ encoding: 'base64'; data: string } | { url: string; expires: string });

export interface DocumentSettings {
  /** Content up to this many octets is inlined in the document. */
  inlineLimit: number;
  bodyPart: MailboxConfig['bodyPart'];
  limits: MessageLimits;
  signedUrl: SignUrl | undefined;
  /** Whether texts may go through mailparser. Default: true. */
  mayParse?: boolean;
}

/** Like `makeDocument`, for one attempt of a destination, with a budget of its own. */
export async function attemptDocument(
  delivery: Delivery,
  { inlineLimit }: Pick<DocumentSettings, 'inlineLimit'>,
  { bodyPart, signedUrl, limits }: Pick<LocalDeps, 'bodyPart' | 'signedUrl' | 'limits'>,
  more: Pick<DocumentSettings, 'mayParse'> = {},
): ReturnType<typeof makeDocument> {
  const ofAttempt = attemptLimits(limits, delivery.contentOctets);
  return await makeDocument(delivery, { inlineLimit, bodyPart, signedUrl, limits: ofAttempt, ...more });
}

/**
 * Makes the document. `keepUntil` (milliseconds since the epoch) is set if it contains a URL.
 *
 * Errors: those of `createWalker` and `composeMessage`; `config-invalid` if the content needs a URL and there is no
 * HTTP listener; `NeedsParser` if `mayParse` is false.
 */
export async function makeDocument(
  delivery: Delivery,
  settings: DocumentSettings,
): Promise<{ document: HandoffDocument; keepUntil?: number }> {
  const { limits } = settings;
  const mostInline = Math.min(settings.inlineLimit, largestInline);
  const inline = delivery.contentOctets <= mostInline;
  const content = inline ? await delivery.read() : undefined;
  const message =
    content === undefined
      ? await composeStreamed(delivery, limits)
      : composeMessage(delivery, content, limits);
  const source = content === undefined ? delivery.content() : [content];
  const parts = await readParts(message.kind, source, { inline, limits, mayParse: settings.mayParse });
  const whole = content === undefined ? signed(delivery, settings) : undefined;
  if (content !== undefined) drawForJson((message.octets * 4) / 3, limits.budget);
  const { pieces, expires } = await readPieces(delivery, settings, mostInline);
  const keepUntil = Math.max(whole?.expires ?? 0, expires);
  const document: HandoffDocument = {
    id: delivery.id,
    idempotencyKey: delivery.idempotencyKey,
    ...(delivery.again === undefined ? {} : { again: delivery.again }),
    mailbox: delivery.mailbox,
    ...partyOf(delivery.verdict),
    destination: delivery.destination,
    receivedAt: new Date(delivery.receivedAt).toISOString(),
    envelope: delivery.envelope,
    origin: delivery.origin,
    headers: delivery.headers ?? readMailHeader(message.headers).json,
    verdict: delivery.verdict,
    body: chooseBodyPart(parts, settings.bodyPart) ?? null,
    parts,
    content: { octets: delivery.contentOctets, sha256: delivery.contentSha256 },
    message:
      whole === undefined
        ? {
            octets: message.octets,
            encoding: 'base64',
            data: Buffer.concat([message.prefix, content ?? Buffer.alloc(0)]).toString('base64'),
          }
        : { octets: message.octets, url: whole.url, expires: new Date(whole.expires).toISOString() },
    pieces,
  };
  return keepUntil === 0 ? { document } : { document, keepUntil };
}

/**
 * The pieces. They are in the document if all of them together are within the limit. `expires` (0: none) is that of the
 * last URL.
 */
async function readPieces(
  delivery: Delivery,
  settings: DocumentSettings,
  mostInline: number,
): Promise<{ pieces: PieceJson[]; expires: number }> {
  const pieces: PieceJson[] = [];
  let left = mostInline;
  let expires = 0;
  for (const piece of delivery.pieces) {
    const { path, contentType, octets, sha256 } = piece;
    const facts = { path, contentType, octets, sha256 };
    if (octets <= left) {
      left -= octets;
      drawForJson((octets * 4) / 3, settings.limits.budget);
      pieces.push({ ...facts, encoding: 'base64', data: (await piece.read()).toString('base64') });
      continue;
    }
    const url = signed(delivery, settings, path);
    expires = Math.max(expires, url.expires);
    pieces.push({ ...facts, url: url.url, expires: new Date(url.expires).toISOString() });
  }
  return { pieces, expires };
}

function signed(delivery: Delivery, settings: DocumentSettings, piece?: string): SignedUrl {
  if (settings.signedUrl !== undefined) return settings.signedUrl(delivery, piece);
  throw new SealpostError(
    'config-invalid',
    `the content is above inlineLimit of destination ${delivery.destination} and there is no HTTP listener for a URL`,
    { hint: 'set http.port (and http.publicUrl), or raise inlineLimit' },
  );
}
