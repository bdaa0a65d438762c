/**
 * Logins at an OpenID Connect provider: code flow with PKCE, state, nonce and `iss` (RFC 9207), with `oauth4webapi`. A
 * person is identified by issuer and subject, and never by a mail address, which may be given to somebody else one day.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { AuthorizationServer, IDToken } from 'oauth4webapi';
import { z } from 'zod';
import { type Config, readSecret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { boundedFetch } from '../oauth/index.ts';

export type OidcSettings = NonNullable<Config['console']['oidc']>;

export interface ProviderParts {
  settings: OidcSettings;
  seal(context: string, value: unknown): Buffer;
  unseal(context: string, sealed: Buffer): unknown;
  now(): number;
}

const flowSchema = z.strictObject({
  purpose: z.enum(['login', 'step-up']),
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  /** Where to go afterwards. */
  to: z.string(),
  startedAt: z.number().int(),
});
/** A login that has been started. Its browser keeps it, sealed. */
export type Flow = z.output<typeof flowSchema>;

/** The person that the provider names. */
export interface Came {
  flow: Flow;
  issuer: string;
  subject: string;
  /** A name for people to read. It identifies nobody. */
  name: string;
  /** Undefined if the provider did not list all of them. */
  groups: string[] | undefined;
}

/** Milliseconds. */
export const flowLasts = 600_000;
const timeout = 10_000;
const discoveryLasts = 3_600_000;
/** How many milliseconds the clock of the provider may be off. */
const clockTolerance = 30_000;
const mostGroups = 1000;

const context = 'console-oidc';
const random = () => randomBytes(32).toString('base64url');
const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url');

/** The library's errors contain answers, and with them perhaps tokens, so none is kept as a cause. */
function refused(why: string): SealpostError {
  return new SealpostError('person-unauthenticated', `the login at the provider failed: ${why}`);
}

export class Provider {
  readonly #parts: ProviderParts;
  #known: { server: AuthorizationServer; at: number } | undefined;
  readonly #keys = {};

  constructor(parts: ProviderParts) {
    this.#parts = parts;
  }

  get #back(): string {
    return new URL('/login/oidc/back', this.#parts.settings.url).href;
  }

  #client() {
    return { client_id: this.#parts.settings.clientId };
  }

  async #options() {
    const { allowInsecureRequests, customFetch } = await import('oauth4webapi');
    return {
      [customFetch]: boundedFetch,
      // The settings allow http: on loopback only.
      [allowInsecureRequests]: true as const,
      signal: AbortSignal.timeout(timeout),
    };
  }

  async #server(): Promise<AuthorizationServer> {
    const { now, settings } = this.#parts;
    if (this.#known && now() - this.#known.at < discoveryLasts) return this.#known.server;
    const oauth = await import('oauth4webapi');
    const issuer = new URL(settings.issuer);
    try {
      const answer = await oauth.discoveryRequest(issuer, await this.#options());
      const server = await oauth.processDiscoveryResponse(issuer, answer);
      this.#known = { server, at: now() };
      return server;
    } catch {
      throw refused('it cannot be reached, or is another one than console.oidc.issuer');
    }
  }

  /** Where to send the browser, and what it keeps meanwhile. */
  async begin(purpose: Flow['purpose'], to: string): Promise<{ url: string; kept: string; flow: Flow }> {
    const { settings, seal, now } = this.#parts;
    const { authorization_endpoint: endpoint } = await this.#server();
    if (endpoint === undefined) throw refused('it has no authorization endpoint');
    const flow: Flow = {
      ...{ purpose, state: random(), nonce: random(), verifier: random(), to, startedAt: now() },
    };
    const url = new URL(endpoint);
    const parameters = {
      ...{ response_type: 'code', client_id: settings.clientId, redirect_uri: this.#back },
      ...{ scope: settings.scopes, state: flow.state, nonce: flow.nonce },
      ...{ code_challenge: challengeOf(flow.verifier), code_challenge_method: 'S256' },
      ...(purpose === 'step-up' && { prompt: 'login', max_age: '0' }),
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return { url: url.href, kept: seal(context, flow).toString('base64url'), flow };
  }

  /** Errors: `person-unauthenticated`. */
  #flowOf(kept: string): Flow {
    const { unseal, now } = this.#parts;
    try {
      const flow = flowSchema.parse(unseal(context, Buffer.from(kept, 'base64url')));
      if (now() - flow.startedAt < flowLasts) return flow;
    } catch {
      // It is treated like one that is too old.
    }
    throw refused('it was not begun in this browser, or too long ago');
  }

  /**
   * The person, after the return from the provider.
   *
   * @param query of the request
   * @param kept what the browser was given
   * @param before is called before the provider is asked; what it throws ends it
   * @throws {SealpostError} `person-unauthenticated`
   */
  async finish(query: string, kept: string, before: (flow: Flow) => Promise<void>): Promise<Came> {
    const flow = this.#flowOf(kept);
    const server = await this.#server();
    const { validateAuthResponse } = await import('oauth4webapi');
    let parameters: URLSearchParams;
    try {
      parameters = validateAuthResponse(server, this.#client(), new URLSearchParams(query), flow.state);
    } catch (error) {
      throw refused(whyOf(error));
    }
    await before(flow);
    const claims = await this.#claims(server, flow, parameters);
    if (flow.purpose === 'step-up') this.#checkTime(claims, flow);
    const given = [claims.preferred_username, claims.name].find((each) => typeof each === 'string');
    const { settings } = this.#parts;
    return {
      ...{ flow, issuer: claims.iss, subject: claims.sub, name: String(given ?? claims.sub) },
      groups: groupsOf(claims, settings.groupsClaim),
    };
  }

  async #claims(server: AuthorizationServer, flow: Flow, parameters: URLSearchParams): Promise<IDToken> {
    const oauth = await import('oauth4webapi');
    const { clientSecret } = this.#parts.settings;
    const client = this.#client();
    const options = await this.#options();
    const secret = readSecret(clientSecret);
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const authentication = methods.includes('client_secret_basic')
      ? oauth.ClientSecretBasic(secret)
      : oauth.ClientSecretPost(secret);
    try {
      const answer = await oauth.authorizationCodeGrantRequest(
        server,
        client,
        authentication,
        parameters,
        this.#back,
        flow.verifier,
        options,
      );
      const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, {
        expectedNonce: flow.nonce,
        requireIdToken: true,
      });
      const keys = { ...options, [oauth.jwksCache]: this.#keys };
      await oauth.validateApplicationLevelSignature(server, answer, keys);
      const claims = oauth.getValidatedIdTokenClaims(tokens);
      if (claims) return claims;
    } catch (error) {
      throw refused(whyOf(error));
    }
    throw refused('there was no ID token');
  }

  /** Checks that the person has just logged in there: what the provider remembered does not count. */
  #checkTime({ auth_time: at }: IDToken, { startedAt }: Flow): void {
    if (at === undefined) throw refused('it does not say when the person logged in there (auth_time)');
    if (at * 1000 < startedAt - clockTolerance) throw refused('the person has not logged in there again');
  }
}

/** The error code of the library or of the provider, one of a few words. */
function whyOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const said = error instanceof Error && 'error' in error ? String(error.error) : '';
  return [said, code].find((each) => /^[A-Za-z_]{1,60}$/.test(each)) ?? 'its answer is not valid';
}

/**
 * Groups of a person. If a token has no room for all groups, the provider names a place to ask for them
 * (`_claim_sources`), or says `hasgroups`. Sealpost does not ask there: a token names the place, and some groups may
 * take rights away. Such a person is refused.
 */
function groupsOf(claims: IDToken, name: string): string[] | undefined {
  const elsewhere = claims._claim_names;
  if (typeof elsewhere === 'object' && elsewhere !== null && name in elsewhere) return undefined;
  if (claims.hasgroups === true || claims.hasgroups === 'true') return undefined;
  const groups = claims[name] ?? [];
  if (!Array.isArray(groups) || groups.length > mostGroups) return undefined;
  return groups.every((each) => typeof each === 'string') ? groups : undefined;
}
