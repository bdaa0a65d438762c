import type { OAuth2Config, Secret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { EndpointError, type Grant, type Granted, request } from './endpoint.ts';
import { chainName, directGrant, refreshGrant } from './grants.ts';

/** Milliseconds before its expiry that a token is renewed. */
const EARLY = 60_000;
/** For how many seconds a token is valid if its endpoint does not say. */
const UNKNOWN_LIFE = 300;
/** Milliseconds: the first wait after a failure, which doubles, and the longest. */
const FIRST_WAIT = 5000;
const LONGEST_WAIT = 300_000;

/** After a second refused token, this many milliseconds pass before a refusal leads to a new one. */
const IN_VAIN = 300_000;

/** Keeps the refresh tokens of all processes. */
export interface RefreshTokens {
  /** The one in use; undefined if the endpoint has not replaced the configured one. */
  get(chain: string): Promise<string | undefined>;
  put(chain: string, token: string): Promise<void>;
  /** Runs the work while no other process does it for the same chain. Errors: `token-failed` if that takes too long. */
  alone<T>(chain: string, work: () => Promise<T>): Promise<T>;
}

export interface TokenParts {
  readSecret: (secret: Secret) => string;
  /** Undefined if they cannot be kept. Then none is used. */
  refreshTokens: RefreshTokens | undefined;
}

/** The bearer tokens of a process, for SMTP and IMAP alike: logins with the same settings share one. */
export class Tokens {
  readonly #parts: TokenParts;
  readonly #sources = new Map<string, TokenSource>();

  constructor(parts: TokenParts) {
    this.#parts = parts;
  }

  /** @param user login name; it matters only for a service account, whose tokens are for one user */
  for(config: OAuth2Config, user: string): TokenSource {
    const key = JSON.stringify([config, config.serviceAccount && user]);
    let source = this.#sources.get(key);
    if (source === undefined) {
      source = new TokenSource(config, user, this.#parts);
      this.#sources.set(key, source);
    }
    return source;
  }
}

/** Tokens for logins with the same settings. Only one request is under way at a time. */
export class TokenSource {
  readonly #config: OAuth2Config;
  readonly #user: string;
  readonly #parts: TokenParts;
  #token: { value: string; until: number } | undefined;
  #asking: Promise<string> | undefined;
  #failures = 0;
  #failed: { error: unknown; until: number } | undefined;
  /** When a refused token leads to another one. */
  #renewFrom = 0;
  /** A refresh token that could not be stored. */
  #unsaved: string | undefined;

  constructor(config: OAuth2Config, user: string, parts: TokenParts) {
    this.#config = config;
    this.#user = user;
    this.#parts = parts;
  }

  /**
   * Runs a login with a token. If the server refuses a token that was used before, it may have expired or been revoked:
   * then the login is tried once more with a new one.
   *
   * Errors: those of `login`; `token-failed`, `redis-unreachable`, those of the secrets.
   */
  async login<T>(
    signal: AbortSignal,
    login: (token: string) => Promise<T>,
    refused: (error: unknown) => boolean,
  ): Promise<T> {
    const known = this.#token?.value;
    const token = await this.#get(signal);
    try {
      return await login(token);
    } catch (error) {
      if (!refused(error)) throw error;
      const another = performance.now() >= this.#renewFrom;
      if (token !== known || !another || signal.aborted) {
        if (another) this.#renewLater();
        throw error;
      }
    }
    // another login may have renewed it already
    if (this.#token?.value === token) this.#token = undefined;
    const renewed = await this.#get(signal);
    try {
      return await login(renewed);
    } catch (error) {
      if (refused(error)) this.#renewLater();
      throw error;
    }
  }

  /** A new token was refused as well. So the permissions of this login are wrong, and others may use the token. */
  #renewLater(): void {
    this.#renewFrom = performance.now() + IN_VAIN;
  }

  async #get(signal: AbortSignal): Promise<string> {
    const { accessToken } = this.#config;
    if (accessToken !== undefined) return this.#parts.readSecret(accessToken);
    if (this.#token !== undefined && performance.now() <= this.#token.until) return this.#token.value;
    if (this.#failed !== undefined && performance.now() < this.#failed.until) throw this.#failed.error;
    // It serves all who wait, so one who gives up does not end it.
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return await unlessAborted(this.#asking, signal);
  }

  async #ask(): Promise<string> {
    try {
      const { token, seconds = UNKNOWN_LIFE } = await this.#grant();
      this.#token = { value: token, until: performance.now() + Math.max(0, seconds * 1000 - EARLY) };
      this.#failures = 0;
      this.#failed = undefined;
      return token;
    } catch (error) {
      // A secret that is refused again and again may lock the account, and an endpoint that is down needs no crowd.
      const wait = Math.min(FIRST_WAIT * 2 ** Math.min(this.#failures, 10), LONGEST_WAIT);
      const asked = error instanceof EndpointError ? error.wait : 0;
      this.#failures++;
      this.#failed = { error, until: performance.now() + Math.max(wait, asked) };
      throw error;
    }
  }

  async #grant(): Promise<Granted> {
    const { readSecret, refreshTokens } = this.#parts;
    const { refreshToken } = this.#config;
    if (refreshToken === undefined)
      return await request(directGrant(this.#config, this.#user, readSecret, Date.now()));
    if (refreshTokens === undefined)
      throw new SealpostError('token-failed', 'a refresh token is used only while the daemon runs', {
        hint: 'it may be replaced, and the new one is kept in Redis; start the daemon',
      });
    const configured = readSecret(refreshToken);
    const chain = chainName(this.#config, configured);
    return await refreshTokens.alone(chain, () => this.#refresh(refreshTokens, chain, configured));
  }

  async #refresh(kept: RefreshTokens, chain: string, configured: string): Promise<Granted> {
    const using = this.#unsaved ?? (await kept.get(chain)) ?? configured;
    const grant: Grant = refreshGrant(this.#config, using, this.#parts.readSecret);
    const granted = await request(grant);
    const next = granted.refreshToken ?? using;
    // the endpoint may have ended the old one
    this.#unsaved = next;
    await kept.put(chain, next);
    this.#unsaved = undefined;
    return granted;
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(new SealpostError('token-failed', 'the login was given up'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    work.catch(() => {});
  }
}
