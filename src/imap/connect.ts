import { ImapFlow, type ImapFlowOptions } from 'imapflow';
import { type MailboxConfig, readPublicFile, type Secret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { challengeOf, loginHint, Tokens } from '../oauth/index.ts';
import { Watch, watchOf } from './watch.ts';

export type ImapConfig = NonNullable<MailboxConfig['imap']>;

/** Octets requested at a time. */
export const CHUNK = 512 * 1024;

/** Connection, greeting, TLS and login are several commands together. */
const LOGIN_FACTOR = 2;

/** Opens connections to one server. Each is a new ImapFlow, because one cannot reconnect. */
export class Connector {
  readonly #config: ImapConfig;
  readonly #readSecret: (secret: Secret) => string;
  readonly #tokens: Pick<Tokens, 'for'>;
  readonly #ca: string | undefined;

  /**
   * @param config as checked by the configuration reader
   * @param tokens shared by the logins of a process
   * @throws {SealpostError} `file-access`
   */
  constructor(
    config: ImapConfig,
    readSecret: (secret: Secret) => string,
    tokens: Pick<Tokens, 'for'> = new Tokens({ readSecret, refreshTokens: undefined }),
  ) {
    this.#config = config;
    this.#readSecret = readSecret;
    this.#tokens = tokens;
    this.#ca = config.ca === undefined ? undefined : readPublicFile(config.ca).toString();
  }

  /** A logged-in connection. Errors: `imap-failed`, `token-failed`, those of imapflow, those of the secrets. */
  async open(signal: AbortSignal): Promise<ImapFlow> {
    const { user, password, oauth2 } = this.#config;
    if (oauth2 === undefined)
      return await this.#open({ pass: password === undefined ? '' : this.#readSecret(password) }, signal);
    const tokens = this.#tokens.for(oauth2, user);
    return await tokens.login(signal, (accessToken) => this.#open({ accessToken }, signal), refusedLogin);
  }

  async #open(secret: { pass: string } | { accessToken: string }, signal: AbortSignal): Promise<ImapFlow> {
    const { host, port, tls, user } = this.#config;
    let watch: Watch | undefined;
    const hear = (entry: unknown) => {
      if (typeof entry === 'object' && entry !== null && 'err' in entry) watch?.hear(entry.err);
    };
    const debug = (entry: unknown) => watch?.overhear(entry);
    const logger = { debug, info: () => {}, warn: hear, error: hear, isLevelEnabled: heard };
    const client = new ImapFlow({
      ...limits,
      // some commands only return false, and log the reason
      logger,
      host,
      port: port ?? (tls === 'implicit' ? 993 : 143),
      secure: tls === 'implicit',
      // required, because otherwise the capability list would decide, which an attacker can change
      ...(tls === 'implicit' ? {} : { doSTARTTLS: tls === 'starttls' }),
      tls: { minVersion: 'TLSv1.2', ...(this.#ca === undefined ? {} : { ca: this.#ca }) },
      auth: { user, ...secret },
    });
    watch = new Watch(client, {
      host,
      timeout: this.#config.commandTimeout,
      secrets: Object.values(secret),
    });
    // without a listener, an error would end the process; users of the connection see it end
    client.on('error', () => {});
    const abort = () => client.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      await watch.answered('the login', () => client.connect(), LOGIN_FACTOR);
    } catch (error) {
      client.close();
      throw sessionError(error, client, this.#config);
    } finally {
      signal.removeEventListener('abort', abort);
    }
    // RFC 9051 section 11.3: with PREAUTH, somebody between us and the server could keep us in a session of theirs.
    // imapflow keeps the greeting only if it is OK.
    if (client.greeting === undefined) {
      client.close();
      throw new SealpostError('imap-failed', `${host} greets with PREAUTH, which is not accepted`);
    }
    return client;
  }
}

/** Log levels of imapflow that we use. It formats no text for the others. */
const heard = (level: string): boolean => level === 'debug' || level === 'warn' || level === 'error';

const limits: ImapFlowOptions = {
  disableAutoIdle: true,
  disableCompression: true,
  disableAutoEnable: true,
  connectionTimeout: 30_000,
  greetingTimeout: 30_000,
  socketTimeout: 300_000,
  maxLiteralSize: 4 * 1024 * 1024,
  maxLineLength: 8 * 1024 * 1024,
  maxResponseSize: 16 * 1024 * 1024,
  maxResponseTokens: 200_000,
  clientInfo: { name: 'sealpost' },
};

/** Logs out, without waiting long for a server that does not answer. */
export async function leave(client: ImapFlow): Promise<void> {
  await watchOf(client)
    .answered('LOGOUT', () => client.logout(), 0.1)
    .catch(() => {});
  client.close();
}

/** The error of a session for log, health and check, with the server's words. Errors of other rooms stay unchanged. */
export function sessionError(error: unknown, client: ImapFlow, config: ImapConfig): SealpostError {
  const watch = watchOf(client);
  if (error instanceof SealpostError && error.code !== 'imap-failed') return watch.saying(error);
  watch.hear(error);
  // an error that is not a reply comes from the network or TLS
  const reason =
    error instanceof Error && !('responseStatus' in error) ? `: ${watch.clean(error.message)}` : '';
  const what = refusedLogin(error)
    ? `${config.host} refused the login of ${config.user}`
    : `no session with ${config.host}${reason}`;
  const message = error instanceof SealpostError ? error.message : (watch.failure?.message ?? what);
  const { words } = watch;
  const said = words === '' || message.includes('the server said:') ? '' : `; the server said: ${words}`;
  const hint = hintOf(error, words, config);
  return watch.saying(
    new SealpostError('imap-failed', `${message}${said}`, { cause: error, ...(hint && { hint }) }),
  );
}

/** Exchange Online accepts the login of an app that may not open the mailbox, and says so afterwards. */
const noMailbox = /authenticated but not connected/i;

function hintOf(error: unknown, words: string, { host, oauth2 }: ImapConfig): string | undefined {
  if (!refusedLogin(error) && !noMailbox.test(words)) return undefined;
  const challenge =
    error instanceof Error && 'oauthError' in error ? challengeOf(error.oauthError) : undefined;
  return loginHint({ protocol: 'imap', host, words, bearer: oauth2 !== undefined, challenge });
}

/** Whether the login failed, here or in the cause. */
export function refusedLogin(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    ('authenticationFailed' in error && error.authenticationFailed === true) || refusedLogin(error.cause)
  );
}
