import { buildConnector, errors, Pool } from 'undici';
import { guardedLookup, type Resolve, refusePrivateLiteral } from '../net/index.ts';

export interface HttpReply {
  status: number;
  retryAfter: string | undefined;
  /** The time on the receiver's clock, as its Date field says. */
  date: string | undefined;
}

export interface PosterSettings {
  /** Certificates in PEM that replace the system's. */
  ca: Buffer | undefined;
  allowPrivate: boolean;
  resolve: Resolve | undefined;
  /** Milliseconds from the start of the request to the reply's header. */
  timeout: number;
}

/** The reply's header did not come in time. */
export class RequestTimeout extends Error {}

/** Octets of a reply's body that are read in order to keep the connection. If there are more, it is closed. */
const replyLimit = 64 * 1024;

/** Posts to one URL over kept connections. Never follows a redirect, and discards the body of a reply. */
export class HttpPoster {
  readonly #url: URL;
  readonly #settings: PosterSettings;
  readonly #pool: Pool;
  /** Connections that were begun. */
  #opened = 0;

  constructor(url: URL, settings: PosterSettings) {
    this.#url = url;
    this.#settings = settings;
    const { ca, allowPrivate, resolve, timeout } = settings;
    const connect = buildConnector({
      timeout,
      ...(ca === undefined ? {} : { ca }),
      ...(allowPrivate ? {} : { lookup: guardedLookup(resolve) }),
    });
    this.#pool = new Pool(url.origin, {
      connect: (options, callback) => {
        this.#opened += 1;
        connect(options, callback);
      },
      // the deadline of `post` is the one that counts, to the millisecond
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Resolves with the status as soon as the reply's header has arrived. With 2xx, the receiver has taken the message,
   * whatever becomes of the body.
   *
   * Errors: `RequestTimeout`, an error with the code `privateAddressCode`, or what the socket or TLS says.
   */
  async post(body: Buffer, headers: Record<string, string>, signal: AbortSignal): Promise<HttpReply> {
    // the lookup is not called for an address in the URL
    if (!this.#settings.allowPrivate) refusePrivateLiteral(this.#url);
    const stop = new AbortController();
    const abort = () => stop.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(() => stop.abort(new RequestTimeout()), this.#settings.timeout);
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    try {
      const { statusCode, headers: found, body: rest } = await this.#request(body, headers, stop.signal);
      // the timer also ends a reply whose body never ends
      rest.dump({ limit: replyLimit, signal: stop.signal }).then(done, done);
      const [after, date] = [found['retry-after'], found.date].map((field) => [field].flat()[0]);
      return { status: statusCode, retryAfter: after, date };
    } catch (error) {
      done();
      throw error;
    }
  }

  async #request(body: Buffer, headers: Record<string, string>, signal: AbortSignal) {
    const { pathname, search } = this.#url;
    const send = () => this.#pool.request({ path: pathname + search, method: 'POST', headers, body, signal });
    const opened = this.#opened;
    try {
      return await send();
    } catch (error) {
      // the receiver may close a kept connection at the very moment when it is used again
      if (opened === this.#opened && isLost(error) && !signal.aborted) return await send();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** Whether the connection ended before a reply came. */
function isLost(error: unknown): boolean {
  if (error instanceof errors.SocketError) return true;
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}
