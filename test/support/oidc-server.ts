/**
 * An OpenID Connect provider on loopback (code flow with PKCE) that signs its tokens, and lies where a test says so.
 */
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';

export interface Person {
  sub: string;
  groups?: unknown;
  name?: string;
  email?: string;
}

export interface OidcServer {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Who logs in there next. */
  person: Person;
  /** Seconds that its logins are old. */
  age: number;
  /** Changes claims, header or signature of the next ID tokens. */
  lies: {
    claims?: Record<string, unknown>;
    /** `none`: no signature; `hmac`: signed with the client secret; `other`: with a key that it does not publish. */
    signature?: 'none' | 'hmac' | 'other';
    /** Of the redirect back. */
    back?: Record<string, string | undefined>;
    /** The client secret is not checked, and neither is PKCE. */
    anybody?: boolean;
  };
  /** Paths that were asked for, in order. */
  asked: string[];
  /** Parameters of the last authorization. */
  last: URLSearchParams;
  stop(): void;
}

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export async function startOidcServer(): Promise<OidcServer> {
  const own = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const codes = new Map<string, { nonce: string; challenge: string; redirect: string; person: Person }>();
  const say = (response: ServerResponse, status: number, body: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };

  function tokenOf(nonce: string, person: Person): string {
    const { lies, age, issuer, clientId, clientSecret } = provider;
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: issuer, aud: clientId, iat: now, exp: now + 300, nonce, auth_time: now - age },
      ...{ ...person, ...lies.claims },
    };
    const alg = lies.signature === 'none' ? 'none' : lies.signature === 'hmac' ? 'HS256' : 'RS256';
    const text = `${base64url({ alg, kid: 'one', typ: 'JWT' })}.${base64url(claims)}`;
    if (alg === 'none') return `${text}.`;
    if (alg === 'HS256')
      return `${text}.${createHmac('sha256', clientSecret).update(text).digest('base64url')}`;
    const { privateKey } = lies.signature === 'other' ? foreign : own;
    return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
  }

  function authorize(query: URLSearchParams, response: ServerResponse): void {
    provider.last = query;
    const code = randomBytes(16).toString('base64url');
    codes.set(code, {
      nonce: query.get('nonce') ?? '',
      challenge: query.get('code_challenge') ?? '',
      redirect: query.get('redirect_uri') ?? '',
      person: provider.person,
    });
    const back = new URL(query.get('redirect_uri') ?? '');
    const given = { code, state: query.get('state') ?? '', iss: provider.issuer, ...provider.lies.back };
    for (const [name, value] of Object.entries(given))
      if (value !== undefined) back.searchParams.set(name, value);
    response.writeHead(302, { location: back.href }).end();
  }

  function grant(form: URLSearchParams, authorization: string, response: ServerResponse): void {
    const known = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    const basic = Buffer.from(`${provider.clientId}:${provider.clientSecret}`).toString('base64');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const fits =
      provider.lies.anybody === true ||
      (authorization === `Basic ${basic}` && challenge === known?.challenge);
    if (known === undefined || !fits || form.get('redirect_uri') !== known.redirect) {
      say(response, 400, { error: 'invalid_grant' });
      return;
    }
    const { nonce, person } = known;
    say(response, 200, { access_token: 'x', token_type: 'Bearer', id_token: tokenOf(nonce, person) });
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', provider.issuer);
    provider.asked.push(url.pathname);
    const body = Buffer.concat(await Array.fromAsync(request)).toString();
    const { issuer } = provider;
    if (url.pathname === '/.well-known/openid-configuration')
      return say(response, 200, {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
        authorization_response_iss_parameter_supported: true,
        id_token_signing_alg_values_supported: ['RS256'],
      });
    if (url.pathname === '/keys')
      return say(response, 200, {
        keys: [{ ...own.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }],
      });
    if (url.pathname === '/authorize') return authorize(url.searchParams, response);
    if (url.pathname === '/token')
      return grant(new URLSearchParams(body), request.headers.authorization ?? '', response);
    say(response, 404, {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const provider: OidcServer = {
    issuer: `http://127.0.0.1:${port}`,
    ...{ clientId: 'console', clientSecret: 's3cretOfTheConsole', person: { sub: 'nobody' } },
    ...{ age: 0, lies: {}, asked: [], last: new URLSearchParams() },
    stop: () => void server.close(),
  };
  return provider;
}
