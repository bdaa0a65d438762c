/** The partner's mail server in the demo, and how the partner sends. */
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';

/** Sends a raw mail over SMTP; resolves with the server's reply to the final dot. */
export async function sendRaw(port: number, from: string, to: string, raw: Buffer): Promise<string> {
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    const info = await transport.sendMail({ envelope: { from, to }, raw });
    return info.response;
  } finally {
    transport.close();
  }
}

export interface PartnerServer {
  port: number;
  /** Resolves with the next mail that arrives. */
  next(): Promise<{ from: string; to: string[]; mail: Buffer }>;
  close(): Promise<void>;
}

/** The partner's mail server: accepts everything on a loopback port. */
export async function startPartnerServer(): Promise<PartnerServer> {
  const mails: { from: string; to: string[]; mail: Buffer }[] = [];
  const waiting: ((mail: { from: string; to: string[]; mail: Buffer }) => void)[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
        const mail = {
          from,
          to: session.envelope.rcptTo.map(({ address }) => address),
          mail: Buffer.concat(chunks),
        };
        const taker = waiting.shift();
        if (taker) taker(mail);
        else mails.push(mail);
        callback();
      });
    },
  });
  const listening = Promise.withResolvers<void>();
  server.on('error', listening.reject);
  server.listen(0, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  const address = server.server.address();
  if (address === null || typeof address === 'string') throw new Error('the partner server has no port');
  return {
    port: address.port,
    next: () =>
      new Promise((resolve) => {
        const mail = mails.shift();
        if (mail) resolve(mail);
        else waiting.push(resolve);
      }),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
