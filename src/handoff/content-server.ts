import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { hasCode, httpStatusOf, SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { MessageLimits } from '../message/index.ts';
import { composeStreamed, messageOctets } from './message.ts';
import { pieceFileName } from './names.ts';
import type { UrlSigner } from './signed-url.ts';
import type { Delivery } from './types.ts';

/** The parts of a message that the content server needs. */
export type StoredContent = Pick<
  Delivery,
  'header' | 'whole' | 'verdict' | 'content' | 'contentOctets' | 'pieces'
>;

export interface ContentServerDeps {
  signer: UrlSigner;
  /** The decoded content of a message; undefined if it is no longer kept. */
  find(id: string): Promise<StoredContent | undefined>;
  limits: MessageLimits;
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
}

export type ContentHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

const statusOf = { route: 404, signature: 403, expired: 410 } as const;

/**
 * Handles `GET` and `HEAD` of signed content URLs: streams `message.eml`, or the content of a piece. Replies 404 to any
 * other path, 403 to a wrong signature (whether or not the message exists), 410 if the URL has expired or the content
 * is gone, and 503 while the object store is unreachable. Mail is for programs: a browser that opens the URL by mistake
 * saves it to a file.
 */
export function createContentHandler(deps: ContentServerDeps): ContentHandler {
  return async (request, response) => {
    const check = deps.signer.check(request.url ?? '', deps.now());
    if ('wrong' in check) return refuse(response, statusOf[check.wrong]);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return refuse(response, 405);
    }
    try {
      const stored = await deps.find(check.valid);
      if (stored === undefined) return refuse(response, 410);
      if (check.piece === undefined) await send(request, response, stored, deps.limits);
      else await sendPiece(request, response, stored, check.piece);
    } catch (err) {
      // it was removed after the ledger was read
      const gone = err instanceof SealpostError && err.code === 'spool-missing';
      if (gone && !response.headersSent) return refuse(response, 410);
      // a client that disconnects is not our problem
      if (!hasCode(err, 'ERR_STREAM_PREMATURE_CLOSE')) {
        deps.log.error({ err, id: check.valid }, 'content could not be sent');
      }
      if (response.headersSent) response.destroy();
      else refuse(response, httpStatusOf(err));
    }
  };
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  stored: StoredContent,
  limits: MessageLimits,
): Promise<void> {
  const message = await composeStreamed(stored, limits);
  response.writeHead(200, {
    'Content-Type': 'message/rfc822',
    'Content-Length': message.octets,
    'Content-Disposition': 'attachment; filename="message.eml"',
    ...guards,
  });
  if (request.method === 'HEAD') response.end();
  else await pipeline(Readable.from(messageOctets(message, stored.content())), response);
}

async function sendPiece(
  request: IncomingMessage,
  response: ServerResponse,
  { pieces }: StoredContent,
  path: string,
): Promise<void> {
  const piece = pieces.find((each) => each.path === path);
  if (piece === undefined) return refuse(response, 410);
  response.writeHead(200, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': piece.octets,
    'Content-Disposition': `attachment; filename="${pieceFileName(path, piece.contentType)}"`,
    ...guards,
  });
  if (request.method === 'HEAD') response.end();
  else await pipeline(Readable.from(piece.content()), response);
}

const guards = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
};

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-Length': 0, ...guards });
  response.end();
}
