/** A listener for SMTP submission in the process of the test, with the real registry, `submit` and queue behind it. */

import { allGranted, type Grants } from '../../src/client/index.ts';
import { ClientRegistry, Rates } from '../../src/client/registry.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createLog, type Log } from '../../src/log.ts';
import { submissionDoor } from '../../src/pipeline/submission-door.ts';
import type { MessageRecord, QueueRoom } from '../../src/queue/index.ts';
import { createSmtpReceiver, type SmtpReceiver } from '../../src/smtp/server.ts';
import type { SubmissionDoor } from '../../src/smtp/submission.ts';
import { RawClient } from './smtp.ts';
import type { TlsFiles } from './tls.ts';

const settings = {
  partners: [
    { name: 'acme', addresses: ['edi@acme.example', '@acme.example'], encrypt: false, sign: 'none' },
    { name: 'globex', addresses: ['in@globex.example'], encrypt: false, sign: 'none' },
    ...['initech', 'hooli'].map((name) => ({
      ...{ name, addresses: [`in@${name}.example`], from: `for-${name}@own.example` },
      ...{ encrypt: false, sign: 'none' },
    })),
  ],
};

export interface TestSubmission {
  receiver: SmtpReceiver;
  registry: ClientRegistry;
  /** STARTTLS, implicit TLS, and one of the kind mx. */
  ports: { starttls: number; implicit: number; mx: number };
  door: SubmissionDoor;
  /** Adds a client; returns a token of it. */
  client(name: string, grants?: Partial<Grants>, pins?: string[]): Promise<string>;
  /** A client that has done its handshake and EHLO. */
  secure(): Promise<RawClient>;
  /** A client that has also logged in. */
  loggedIn(name: string, token: string): Promise<RawClient>;
  records(): Promise<MessageRecord[]>;
  close(): Promise<void>;
}

export const plain = (user: string, password: string) =>
  `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`;

export async function startSubmission(
  { queue, dataDir }: { queue: QueueRoom; dataDir: string },
  tls: TlsFiles,
  options: { smtp?: Record<string, unknown>; log?: Log } = {},
): Promise<TestSubmission> {
  const log = options.log ?? createLog('silent', 'test');
  const registry = await ClientRegistry.open({ ...queue, folder: dataDir, log, now: Date.now });
  registry.start();
  const { smtp: config, partners } = configSchema.parse({
    ...settings,
    smtp: {
      listen: [
        { port: 0, kind: 'submission' },
        { port: 0, kind: 'submission', implicitTls: true },
        { port: 0 },
      ],
      tls: { cert: tls.cert, key: tls.key },
      hostname: 'mx.example.com',
      greetingDelay: '0ms',
      ...options.smtp,
    },
  });
  const { intake } = queue;
  const rates = new Rates();
  const door = submissionDoor({ registry, partners, intake, rates, now: () => new Date() });
  const receiver = createSmtpReceiver({ config, mailboxes: [], intake, log, submission: door });
  const [starttls = 0, implicit = 0, mx = 0] = (await receiver.listen()).map(({ port }) => port);
  const secure = async () => {
    const client = await RawClient.connect(starttls);
    await client.hello();
    await client.startTls(tls.pem);
    await client.command('EHLO client.example.org');
    return client;
  };
  return {
    receiver,
    registry,
    ports: { starttls, implicit, mx },
    door,
    async client(name, grants = {}, pins = []) {
      await registry.change((document) => {
        const now = Date.now();
        document.clients.push({ name, grants: { ...allGranted, ...grants }, createdAt: now, pins });
      });
      const facts = { note: '', scope: {}, expiresAt: null };
      return (await registry.addCredential(name, facts)).text;
    },
    secure,
    async loggedIn(name, token) {
      const client = await secure();
      const reply = await client.command(plain(name, token));
      if (!reply.startsWith('235 ')) throw new Error(`not logged in: ${reply}`);
      return client;
    },
    async records() {
      const { messages } = await queue.ledger.list({ limit: 1000 });
      return messages.filter(({ direction }) => direction === 'outbound');
    },
    async close() {
      registry.stop();
      await receiver.close(0);
    },
  };
}

/** MAIL, RCPT and DATA with a mail; the replies, up to the first that refuses. */
export async function submitMail(
  client: RawClient,
  mail: string,
  { from = 'erp@own.example', to = ['edi@acme.example'] }: { from?: string; to?: string[] } = {},
): Promise<string> {
  for (const line of [`MAIL FROM:<${from}>`, ...to.map((each) => `RCPT TO:<${each}>`), 'DATA']) {
    const reply = await client.command(line);
    if (!/^[23]/.test(reply)) {
      await client.command('RSET');
      return reply;
    }
  }
  client.write(`${mail.replaceAll(/^\./gm, '..')}\r\n.\r\n`);
  return await client.reply();
}
