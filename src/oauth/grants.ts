/** What is asked of a token endpoint, by the settings of a login. */
import { createHash, sign } from 'node:crypto';
import type { OAuth2Config, Secret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Grant } from './endpoint.ts';

type ReadSecret = (secret: Secret) => string;

/** Seconds that an assertion is valid; Google allows an hour. */
const ASSERTION_LIFE = 600;

/**
 * The client credentials grant (RFC 6749 section 4.4), or a service account's own assertion (RFC 7523).
 *
 * @param now milliseconds since the epoch
 * @throws {SealpostError} those of the secrets; `config-invalid` for a service account's file that is none
 */
export function directGrant(config: OAuth2Config, user: string, read: ReadSecret, now: number): Grant {
  const { serviceAccount, scope } = config;
  if (serviceAccount !== undefined) return serviceGrant(config, read(serviceAccount), user, now);
  return { ...clientOf(config, read), type: 'client_credentials', parameters: scoped(scope) };
}

/** The refresh token grant (RFC 6749 section 6). */
export function refreshGrant(config: OAuth2Config, refreshToken: string, read: ReadSecret): Grant {
  const parameters = { ...scoped(config.scope), refresh_token: refreshToken };
  return { ...clientOf(config, read), type: 'refresh_token', parameters };
}

/** Where the tokens that came after a configured refresh token are kept. */
export function chainName({ tokenUrl, clientId }: OAuth2Config, configured: string): string {
  return createHash('sha256')
    .update(JSON.stringify([tokenUrl, clientId, configured]))
    .digest('base64url');
}

const scoped = (scope: string | undefined): Record<string, string> => (scope === undefined ? {} : { scope });

function clientOf({ tokenUrl, clientId, clientSecret }: OAuth2Config, read: ReadSecret) {
  if (tokenUrl === undefined)
    throw new SealpostError('config-invalid', 'oauth2 has neither accessToken nor tokenUrl');
  const secret = clientSecret === undefined ? undefined : read(clientSecret);
  return { url: tokenUrl, clientId, clientSecret: secret };
}

function serviceGrant(config: OAuth2Config, text: string, user: string, now: number): Grant {
  const account = readAccount(text);
  const url = config.tokenUrl ?? account.tokenUrl;
  const issued = Math.floor(now / 1000);
  const header = { alg: 'RS256', typ: 'JWT', kid: account.keyId };
  const claims = {
    iss: account.email,
    sub: user,
    scope: config.scope,
    aud: url,
    iat: issued,
    exp: issued + ASSERTION_LIFE,
  };
  const signed = [header, claims]
    .map((each) => Buffer.from(JSON.stringify(each)).toString('base64url'))
    .join('.');
  const assertion = `${signed}.${signatureOf(signed, account.key)}`;
  return {
    url,
    type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    parameters: { assertion },
    clientId: undefined,
    clientSecret: undefined,
  };
}

function signatureOf(signed: string, key: string): string {
  try {
    return sign('sha256', Buffer.from(signed), key).toString('base64url');
  } catch {
    // its message may quote the key
    throw noAccount('its private_key cannot be read');
  }
}

function readAccount(text: string): { email: string; key: string; keyId: string; tokenUrl: string } {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text);
  } catch {
    throw noAccount('it is no JSON');
  }
  const field = (name: string) => {
    const value = fields[name];
    if (typeof value !== 'string' || value === '') throw noAccount(`it has no ${name}`);
    return value;
  };
  const tokenUrl = field('token_uri');
  if (!URL.canParse(tokenUrl) || !tokenUrl.startsWith('https:'))
    throw noAccount('its token_uri is not https');
  return {
    email: field('client_email'),
    key: field('private_key'),
    keyId: field('private_key_id'),
    tokenUrl,
  };
}

function noAccount(why: string): SealpostError {
  return new SealpostError('config-invalid', `oauth2.serviceAccount is not a key file: ${why}`, {
    hint: 'download the JSON key of the service account anew',
  });
}
