import { z } from 'zod';
import type { MailboxConfig, Secret } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';

type OAuth2Config = NonNullable<NonNullable<MailboxConfig['imap']>['oauth2']>;

/** Milliseconds for the token endpoint, and how long before its expiry a token is renewed. */
const TIMEOUT = 30_000;
const EARLY = 60_000;
/** Maximum size of a token response in octets. */
const MAX_RESPONSE = 64 * 1024;

const response = z.object({ access_token: z.string().min(1), expires_in: z.coerce.number().optional() });

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
    const { clientId, clientSecret, scope } = this.#config;
    const body = new URLSearchParams({ grant_type: 'client_credentials' });
    if (clientId !== undefined) body.set('client_id', clientId);
    if (clientSecret !== undefined) body.set('client_secret', this.#readSecret(clientSecret));
    if (scope !== undefined) body.set('scope', scope);
    const where = new URL(url).host;
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(url, {
        method: 'POST',
        body,
        headers: { accept: 'application/json' },
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
      });
      text = await readSome(answer);
    } catch (cause) {
      throw new SealpostError('imap-failed', `the token endpoint ${where} cannot be reached`, { cause });
    }
    const parsed = response.safeParse(parseJson(text));
    if (!answer.ok || !parsed.success) {
      throw new SealpostError(
        'imap-failed',
        `the token endpoint ${where} gave no token (status ${answer.status})`,
        {
          hint: 'check imap.oauth2: clientId, clientSecret and scope',
        },
      );
    }
    const { access_token: value, expires_in: seconds = 300 } = parsed.data;
    return { value, until: performance.now() + Math.max(0, seconds * 1000 - EARLY) };
  }
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
