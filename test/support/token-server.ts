/**
 * A token endpoint on loopback (RFC 6749) for one app: client credentials, refresh tokens that it replaces at each use
 * and revokes if one comes twice, and assertions of a service account. It also tells Dovecot whose a token is.
 */
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';

export const clientSecret = 's3cret-of-the-app';

export interface TokenServer {
  /** Token endpoint. */
  url: string;
  /** Where Dovecot asks about a token, which is appended. */
  infoUrl: string;
  /** Bodies of the requests, in order. */
  asked: URLSearchParams[];
  /** Tokens that count. */
  valid: Set<string>;
  /** Answers in its place; undefined for the usual. */
  answer: ((response: ServerResponse) => void) | undefined;
  /** Seconds that a token lives, as it says. */
  seconds: number;
  /** The refresh token that counts now; undefined once one came twice. */
  refreshToken: string | undefined;
  /** Those that were replaced. */
  replaced: Set<string>;
  /** Whether each use replaces it. */
  rotates: boolean;
  /** Milliseconds until it answers. */
  delay: number;
  /** PEM of the service account. */
  serviceKey: string | undefined;
  stop(): Promise<void>;
}

export async function startTokenServer(user = 'orders@example.com'): Promise<TokenServer> {
  let made = 0;

  const say = (response: ServerResponse, status: number, body: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };

  function grant(response: ServerResponse, form: URLSearchParams) {
    const deny = (error: string, text = '') => say(response, 400, { error, error_description: text });
    let more = {};
    switch (form.get('grant_type')) {
      case 'client_credentials':
        if (form.get('client_secret') !== clientSecret)
          return say(response, 401, { error: 'invalid_client', error_description: 'AADSTS7000215: wrong' });
        break;
      case 'refresh_token': {
        const given = form.get('refresh_token') ?? '';
        // RFC 9700 section 4.14.2: what was replaced and comes again was stolen, so all end
        if (tokens.replaced.has(given)) tokens.refreshToken = undefined;
        if (given !== tokens.refreshToken) return deny('invalid_grant');
        if (!tokens.rotates) break;
        tokens.replaced.add(given);
        tokens.refreshToken = `refresh-${made}`;
        more = { refresh_token: tokens.refreshToken };
        break;
      }
      case 'urn:ietf:params:oauth:grant-type:jwt-bearer':
        if (!isAsserted(form.get('assertion') ?? '')) return deny('invalid_grant');
        break;
      default:
        return deny('unsupported_grant_type');
    }
    const token = `token-${++made}`;
    tokens.valid.add(token);
    say(response, 200, { access_token: token, token_type: 'Bearer', expires_in: tokens.seconds, ...more });
  }

  function isAsserted(assertion: string): boolean {
    const [header = '', claims = '', signature = ''] = assertion.split('.');
    if (tokens.serviceKey === undefined) return false;
    const signed = Buffer.from(`${header}.${claims}`);
    if (!verify('sha256', signed, tokens.serviceKey, Buffer.from(signature, 'base64url'))) return false;
    const { sub, aud, scope } = JSON.parse(Buffer.from(claims, 'base64url').toString());
    return sub === user && aud === tokens.url && scope === 'https://mail.google.com/';
  }

  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
      if (pathname === '/info') {
        const good = tokens.valid.has(searchParams.get('access_token') ?? '');
        return say(
          response,
          good ? 200 : 401,
          good ? { email: user, active: true } : { error: 'invalid_token' },
        );
      }
      const form = new URLSearchParams(body);
      tokens.asked.push(form);
      const { answer, delay } = tokens;
      const work = () => (answer === undefined ? grant(response, form) : answer(response));
      if (delay > 0) setTimeout(work, delay);
      else work();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const base = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  const tokens: TokenServer = {
    url: `${base}/token`,
    infoUrl: `${base}/info?access_token=`,
    asked: [],
    valid: new Set(),
    answer: undefined,
    seconds: 3600,
    refreshToken: 'refresh-configured',
    replaced: new Set(),
    rotates: true,
    delay: 0,
    serviceKey: undefined,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return tokens;
}
