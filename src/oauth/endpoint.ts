/** The token endpoint: one request, one bounded answer, and an error that says what to look at. */
import type { TokenEndpointRequestOptions, TokenEndpointResponse } from 'oauth4webapi';
import { SealpostError } from '../errors.ts';
import { endpointHint } from './hints.ts';

/** Milliseconds for the answer. */
const TIMEOUT = 30_000;
/** Maximum size of an answer in octets. */
const MAX_RESPONSE = 64 * 1024;
/** The longest that an endpoint may ask us to stay away, in milliseconds. */
const LONGEST_WAIT = 600_000;

/** What is asked for. None of it may be logged. */
export interface Grant {
  url: string;
  /** `grant_type` (RFC 6749, RFC 7523) and its parameters. */
  type: string;
  parameters: Record<string, string>;
  /** Undefined if the assertion identifies the client. */
  clientId: string | undefined;
  clientSecret: string | undefined;
}

export interface Granted {
  token: string;
  /** Seconds; undefined if the endpoint does not say. */
  seconds: number | undefined;
  /** The refresh token to use from now on. */
  refreshToken: string | undefined;
}

/** An error of the endpoint, and how long it wants to be left alone. */
export class EndpointError extends SealpostError {
  /** Milliseconds; 0 if it does not say. */
  readonly wait: number;

  constructor(message: string, options: { hint?: string; cause?: unknown; wait?: number }) {
    super('token-failed', message, options);
    this.wait = options.wait ?? 0;
  }
}

/** Errors: `token-failed` with what the endpoint said, never with a secret or a token. */
export async function request({ url, type, parameters, ...asking }: Grant): Promise<Granted> {
  // the library is loaded only if tokens are needed
  const oauth = await import('oauth4webapi');
  const where = new URL(url).host;
  const server = { issuer: url, token_endpoint: url };
  const client = { client_id: asking.clientId ?? 'none' };
  const nobody = () => {};
  const authentication =
    asking.clientId === undefined
      ? nobody
      : asking.clientSecret === undefined
        ? oauth.None()
        : oauth.ClientSecretPost(asking.clientSecret);
  const options: Omit<TokenEndpointRequestOptions, 'additionalParameters'> = {
    // the settings allow http: on loopback only
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: fetchGrant,
    signal: AbortSignal.timeout(TIMEOUT),
  };
  let answer: Response;
  try {
    answer = await oauth.genericTokenEndpointRequest(
      server,
      client,
      authentication,
      type,
      parameters,
      options,
    );
  } catch (cause) {
    throw new EndpointError(`the token endpoint ${where} cannot be reached`, { cause });
  }
  try {
    return grantedBy(await oauth.processGenericTokenEndpointResponse(server, client, answer));
  } catch (error) {
    // not as a cause: it holds the answer, and with it perhaps a token
    const refusal = error instanceof oauth.ResponseBodyError ? error : undefined;
    const code = /^[a-z_]{1,40}$/.exec(refusal?.error ?? '')?.[0];
    // Entra's own number says more than the code; the rest of its text may name users
    const number = /AADSTS\d{4,8}\b/.exec(refusal?.error_description ?? '')?.[0];
    const said = [`status ${answer.status}`, code, number].filter((each) => each !== undefined);
    throw new EndpointError(`the token endpoint ${where} gave no token (${said.join(', ')})`, {
      hint: endpointHint({ host: where, type, code, number, status: answer.status }),
      wait: waitOf(answer),
    });
  }
}

function grantedBy(answer: TokenEndpointResponse): Granted {
  const { token_type: type, access_token: token, expires_in: seconds, refresh_token: refreshToken } = answer;
  if (type !== 'bearer' || token === '') throw new Error('no bearer token');
  return { token, seconds, refreshToken };
}

function waitOf({ status, headers }: Response): number {
  const seconds = Number(headers.get('retry-after') ?? '');
  return (status === 429 || status === 503) && seconds > 0 ? Math.min(seconds * 1000, LONGEST_WAIT) : 0;
}

/** Follows no redirect, because the request contains the secret. Reads a bounded answer. */
export async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...options, redirect: 'error' });
  const { status, headers } = answer;
  const text = await readSome(answer);
  return new Response(text === '' ? null : text, { status, headers });
}

async function fetchGrant(url: string, options: RequestInit): Promise<Response> {
  const answer = await boundedFetch(url, options);
  const { status, headers } = answer;
  const text = await answer.text();
  return new Response(text === '' ? null : withoutIdToken(text), { status, headers });
}

/** Nobody here asks who logged in; the library would refuse an ID token of an issuer that it does not know. */
function withoutIdToken(text: string): string {
  try {
    const { id_token: _, ...rest }: Record<string, unknown> = JSON.parse(text);
    return JSON.stringify(rest);
  } catch {
    return text;
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
