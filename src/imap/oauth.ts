import type { MailboxConfig, Secret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';

type OAuth2Config = NonNullable<NonNullable<MailboxConfig['imap']>['oauth2']>;

/** Milliseconds for the token endpoint, and how long before its expiry a token is renewed. */
const TIMEOUT = 30_000;
const EARLY = 60_000;
/** Maximum size of a token response in octets. */
const MAX_RESPONSE = 64 * 1024;

/**
 * Bearer tokens for a login: either a secret that another program renews (read each time), or a token by the client
 * credentials grant (RFC 6749 section 4.4), kept until shortly before it expires.
 */
export class TokenSource {
  readonly #config: OAuth2Config;
  readonly #readSecret: (secret: Secret) => string;
  #token: { value: string; until: number } | undefined;

  constructor(config: OAuth2Config, readSecret: (secret: Secret) => string) {
    this.#config = config;
    this.#readSecret = readSecret;
  }

  /** Errors: `imap-failed` with what the endpoint said, never with a secret. */
  async get(signal: AbortSignal): Promise<string> {
    const { accessToken, tokenUrl } = this.#config;
    if (accessToken !== undefined) return this.#readSecret(accessToken);
    if (tokenUrl === undefined) {
      throw new SealpostError('config-invalid', 'imap.oauth2 has neither accessToken nor tokenUrl');
    }
    if (this.#token === undefined || performance.now() > this.#token.until)
      this.#token = await this.#grant(tokenUrl, signal);
    return this.#token.value;
  }

  /** The server refused the token: the next `get` requests another. */
  forget(): void {
    this.#token = undefined;
  }

  async #grant(url: string, signal: AbortSignal): Promise<{ value: string; until: number }> {
    // the library is loaded only if tokens are needed
    const oauth = await import('oauth4webapi');
    const { clientId = '', clientSecret, scope } = this.#config;
    const where = new URL(url).host;
    const server = { issuer: url, token_endpoint: url };
    const client = { client_id: clientId };
    const authentication =
      clientSecret === undefined ? oauth.None() : oauth.ClientSecretPost(this.#readSecret(clientSecret));
    let answer: Response;
    try {
      answer = await oauth.clientCredentialsGrantRequest(
        server,
        client,
        authentication,
        scope === undefined ? {} : { scope },
        {
          // the settings allow http: on loopback only
          [oauth.allowInsecureRequests]: true,
          [oauth.customFetch]: boundedFetch,
          signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
        },
      );
    } catch (cause) {
      throw new SealpostError('imap-failed', `the token endpoint ${where} cannot be reached`, { cause });
    }
    try {
      const token = await oauth.processClientCredentialsResponse(server, client, answer);
      if (token.token_type !== 'bearer' || token.access_token === '') throw new Error('no bearer token');
      const { access_token: value, expires_in: seconds = 300 } = token;
      return { value, until: performance.now() + Math.max(0, seconds * 1000 - EARLY) };
    } catch (error) {
      // not as a cause: it holds the answer, and with it perhaps a token
      const code = error instanceof oauth.ResponseBodyError ? codeOf(error.error) : '';
      throw new SealpostError(
        'imap-failed',
        `the token endpoint ${where} gave no token (status ${answer.status}${code})`,
        { hint: 'check imap.oauth2: clientId, clientSecret and scope' },
      );
    }
  }
}

/** An error code as RFC 6749 section 5.2 has them; other text of the endpoint is not repeated. */
function codeOf(error: string): string {
  return /^[a-z_]{1,40}$/.test(error) ? `, ${error}` : '';
}

/** Follows no redirect, since the request holds the secret, and reads a bounded answer. */
async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...options, redirect: 'error' });
  const { status, headers } = answer;
  const text = await readSome(answer);
  return new Response(text === '' ? null : text, { status, headers });
}

async function readSome(answer: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let octets = 0;
  for await (const piece of answer.body ?? []) {
    octets += piece.length;
    if (octets > MAX_RESPONSE) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
