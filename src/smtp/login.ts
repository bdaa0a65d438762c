import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { withoutSecrets } from '../log.ts';
import { type Challenge, loginHint, readChallenge, type TokenSource } from '../oauth/index.ts';

/** How to log in: with a password, or with tokens. */
export type Auth = { user: string } & ({ pass: string } | { tokens: Pick<TokenSource, 'login'> });

/** What one login needs. */
export type Credentials = { user: string } & ({ pass: string } | { token: string });

export interface Refusal {
  error: SMTPConnection.SMTPError | string;
  /** The settings to look at when it is refused. */
  hint: string | undefined;
}

/** What is said to log in, and what of it is secret. */
export function secretsOf(login: Credentials): string[] {
  if ('token' in login) return [login.token, bearerOf(login)];
  return [login.pass, `\0${login.user}\0${login.pass}`];
}

const bearerOf = ({ user, token }: { user: string; token: string }) =>
  `user=${user}\x01auth=Bearer ${token}\x01\x01`;

/** Logs in; resolves with the refusal if there is one. */
export async function logIn(
  connection: SMTPConnection,
  host: string,
  login: Credentials,
): Promise<Refusal | undefined> {
  if ('token' in login) return await bearerLogin(connection, host, login);
  const { user, pass } = login;
  const error = await attempt(connection, { user, pass, credentials: { user, pass } }, login);
  return error && { error, hint: hintFor(host, error) };
}

/** Resolves with the error of nodemailer, if any; a server that repeats our secrets in its reply is not quoted. */
async function attempt(connection: SMTPConnection, auth: Record<string, unknown>, login: Credentials) {
  const error = await new Promise<SMTPConnection.SMTPError | undefined>((resolve) => {
    connection.once('error', resolve);
    connection.login(auth, (failed) => {
      connection.removeListener('error', resolve);
      resolve(failed ?? undefined);
    });
  });
  if (error === undefined) return undefined;
  const secrets = secretsOf(login);
  error.message = withoutSecrets(error.message, secrets);
  if (error.response !== undefined) error.response = withoutSecrets(error.response, secrets);
  return error;
}

/**
 * XOAUTH2, as Exchange Online and Gmail have it. nodemailer's own sends a refused token a second time, and drops the
 * server's explanation.
 */
async function bearerLogin(
  connection: SMTPConnection,
  host: string,
  login: { user: string; token: string },
): Promise<Refusal | undefined> {
  const offered: unknown = Reflect.get(connection, '_supportedAuth');
  if (!Array.isArray(offered) || !offered.includes('XOAUTH2')) {
    const error = `${host} offers no login by token (XOAUTH2)`;
    return { error, hint: 'check host and port of the route, or use a password' };
  }
  const response = Buffer.from(bearerOf(login)).toString('base64');
  let challenge: Challenge | undefined;
  connection.customAuth.set('XOAUTH2', async ({ sendCommand }) => {
    let reply = await sendCommand(`AUTH XOAUTH2 ${response}`);
    if (reply.status === 334) {
      challenge = readChallenge(reply.text);
      // the client must answer the challenge before the server gives its reply
      reply = await sendCommand('');
    }
    if (reply.status !== 235) throw new Error('the token was refused');
  });
  const error = await attempt(connection, { user: login.user, method: 'XOAUTH2' }, login);
  return error && { error, hint: hintFor(host, error, { bearer: true, challenge }) };
}

function hintFor(
  host: string,
  { response = '' }: SMTPConnection.SMTPError,
  token: { bearer: boolean; challenge?: Challenge | undefined } = { bearer: false },
): string | undefined {
  // without a reply, it was the network
  return response === '' ? undefined : loginHint({ protocol: 'smtp', host, words: response, ...token });
}
