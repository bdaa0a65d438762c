/** An SMTP server over TLS that checks XOAUTH2, and says what Exchange Online or Gmail would. */
import { readFileSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';
import type { TlsFiles } from './tls.ts';

export interface BearerServer {
  port: number;
  /** Who logged in, with which token, in order. */
  logins: { user: string; token: string; taken: boolean }[];
  /** Octets of the messages that were taken. */
  mails: Buffer[];
  /** What a refused login gets. */
  refusal: { text: string; challenge?: Record<string, string> };
  stop(): Promise<void>;
}

/** @param takes whether a token is valid for a user */
export async function startBearerServer(
  tls: TlsFiles,
  takes: (user: string, token: string) => boolean,
): Promise<BearerServer> {
  const bearer: BearerServer = {
    port: 0,
    logins: [],
    mails: [],
    refusal: { text: '5.7.3 Authentication unsuccessful' },
    stop: () => new Promise((resolve) => void server.close(resolve)),
  };
  const server = new SMTPServer({
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
    authMethods: ['XOAUTH2'],
    disableReverseLookup: true,
    logger: false,
    onAuth({ username = '', accessToken = '' }, _session, done) {
      const taken = takes(username, accessToken);
      bearer.logins.push({ user: username, token: accessToken, taken });
      if (taken) return done(null, { user: username });
      const { text, challenge } = bearer.refusal;
      if (challenge !== undefined) return done(null, { data: challenge });
      done(Object.assign(new Error(text), { responseCode: 535 }));
    },
    onData(stream, _session, done) {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        bearer.mails.push(Buffer.concat(pieces));
        done();
      });
    },
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.server.address();
  bearer.port = typeof address === 'object' && address !== null ? address.port : 0;
  return bearer;
}
