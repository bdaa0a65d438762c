import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { guardedLookup, privateAddressCode, type Resolve } from '../net/guarded-lookup.ts';
import { isPublicAddress } from '../net/ip-address.ts';

export interface HttpReply {
  status: number;
  retryAfter: string | undefined;
}

export interface PosterSettings {
  /** Certificates in PEM that replace the system's. */
  ca: Buffer | undefined;
  allowPrivate: boolean;
  resolve: Resolve | undefined;
  /** Milliseconds from the start of the request to the reply's header. */
  timeout: number;
}

/** The header of the reply did not arrive in time. */
export class RequestTimeout extends Error {}

/** Octets of a reply's body that are read to keep the connection. With a longer body, the connection is closed. */
const replyLimit = 64 * 1024;

/** Posts to one URL over kept connections. It never follows a redirect and never interprets a reply's body. */
export class HttpPoster {
  readonly #url: URL;
  readonly #settings: PosterSettings;
  readonly #agent: http.Agent | https.Agent;
  readonly #lookup: LookupFunction | undefined;

  constructor(url: URL, settings: PosterSettings) {
    this.#url = url;
    this.#settings = settings;
    const options = { keepAlive: true, maxFreeSockets: 8, timeout: settings.timeout };
    const { ca } = settings;
    this.#agent =
      url.protocol === 'https:'
        ? new https.Agent({ ...options, ...(ca === undefined ? {} : { ca }) })
        : new http.Agent(options);
    this.#lookup = settings.allowPrivate ? undefined : guardedLookup(settings.resolve);
  }

  /**
   * Resolves with the status as soon as the reply's header is there: with 2xx the receiver has the message, whatever
   * happens to the body.
   *
   * Errors: `RequestTimeout`, an error of code `privateAddressCode`, or the error of the socket or TLS.
   */
  async post(body: Buffer, headers: Record<string, string>, signal: AbortSignal): Promise<HttpReply> {
    this.#checkLiteral();
    try {
      return await this.#once(body, headers, signal);
    } catch (error) {
      // the receiver may close a kept connection at the moment it is used again
      if (error instanceof StaleConnection && !signal.aborted) return await this.#once(body, headers, signal);
      throw error;
    }
  }

  /** The lookup is not called for an address literal, so it is checked here. URL has made it canonical. */
  #checkLiteral(): void {
    if (this.#settings.allowPrivate) return;
    const host = this.#url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) === 0 || isPublicAddress(host)) return;
    throw Object.assign(new Error('the address is not public'), { code: privateAddressCode });
  }

  #once(body: Buffer, headers: Record<string, string>, signal: AbortSignal): Promise<HttpReply> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
    const module = this.#url.protocol === 'https:' ? https : http;
    const request = module.request(this.#url, {
      method: 'POST',
      agent: this.#agent,
      signal,
      headers: { ...headers, 'Content-Length': body.length },
      ...(this.#lookup === undefined ? {} : { lookup: this.#lookup }),
    });
    const timer = setTimeout(() => request.destroy(new RequestTimeout()), this.#settings.timeout);
    request.on('response', (response) => {
      resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] });
      drain(response);
    });
    request.on('error', (error) => {
      const stale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      reject(stale ? new StaleConnection('the kept connection was closed', { cause: error }) : error);
    });
    // the timer also ends a reply whose body never ends
    request.on('close', () => {
      clearTimeout(timer);
      reject(new Error('the connection was closed without a reply'));
    });
    request.end(body);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

class StaleConnection extends Error {}

/** Discards a reply's body. A short one is read so that the connection can be reused; a long one closes it. */
function drain(response: IncomingMessage): void {
  let octets = 0;
  response.on('data', (chunk: Buffer) => {
    octets += chunk.length;
    if (octets > replyLimit) response.destroy();
  });
  response.on('error', () => {});
}
