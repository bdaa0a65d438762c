import type { IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import { guardedLookup, refusePrivateLiteral } from './guarded-lookup.ts';
import { http, https } from './node-http.ts';

export interface GuardedRequest {
  /** http: or https:. */
  url: URL;
  /** Sent with POST if given, otherwise GET. */
  body?: Buffer;
  headers?: Record<string, string>;
  /** Also allows loopback addresses and private networks. */
  allowPrivate: boolean;
  /** Milliseconds for the whole request. */
  timeout: number;
  /** Maximum size of the answer in octets. */
  maxLength: number;
  /** Any other media type is refused. */
  mediaType?: string;
  /** CA certificates in PEM that replace the system's. */
  ca?: string;
  /** With `allowPrivate`: the addresses that names lead to, instead of the system's answer. */
  lookup?: LookupFunction;
}

/**
 * Gets one answer from an address that somebody else chose (threats S9). Only http and https are allowed, the address
 * is checked by the connection's own lookup, redirects are not followed, time and size are limited, and anything but a
 * 200 is an error.
 *
 * Rejects with what went wrong, and never with any part of the answer.
 */
export async function guardedGet(request: GuardedRequest): Promise<Buffer> {
  const { url, allowPrivate, timeout, maxLength, mediaType } = request;
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('only http and https are asked');
  if (!allowPrivate) refusePrivateLiteral(url);
  const signal = AbortSignal.timeout(timeout);
  try {
    const response = await send(request, signal);
    return await read(response, maxLength, mediaType);
  } catch (error) {
    if (signal.aborted) throw new Error(`no answer within ${timeout} ms`, { cause: error });
    throw error;
  }
}

function send(request: GuardedRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, body, headers = {}, allowPrivate, ca, lookup } = request;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = (url.protocol === 'https:' ? https : http).request(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: body === undefined ? headers : { ...headers, 'Content-Length': body.length },
    agent: false,
    signal,
    ...(ca === undefined ? {} : { ca }),
    ...(lookup === undefined ? {} : { lookup }),
    ...(allowPrivate ? {} : { lookup: guardedLookup() }),
  });
  outgoing.on('response', resolve);
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

async function read(
  response: IncomingMessage,
  maxLength: number,
  mediaType: string | undefined,
): Promise<Buffer> {
  try {
    if (response.statusCode !== 200) throw new Error(`the answer was ${response.statusCode}`);
    const [found = ''] = (response.headers['content-type'] ?? '').split(';');
    if (mediaType !== undefined && found.trim().toLowerCase() !== mediaType)
      throw new Error(`the answer is not ${mediaType}`);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxLength) throw new Error(`the answer has more than ${maxLength} octets`);
    }
    return Buffer.concat(chunks);
  } finally {
    response.destroy();
  }
}
