/** Who gets messages, and fails by script: a webhook, and a partner's mail server. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';

/** What was taken: by message, how often under which key. */
export class Received {
  readonly #keys = new Map<string, Map<string, number>>();
  total = 0;

  add(message: string, key: string): void {
    this.total++;
    const keys = this.#keys.get(message) ?? new Map<string, number>();
    this.#keys.set(message, keys.set(key, (keys.get(key) ?? 0) + 1));
  }

  /** Key and number of times for each key that the message came under. */
  of(message: string): ReadonlyMap<string, number> {
    return this.#keys.get(message) ?? new Map();
  }
}

/** What the webhook does with a request, before it counts it as taken or not. */
export type WebhookStep =
  | { status: number; headers?: Record<string, string>; after?: number }
  /** Takes it, then calls `then` and answers 200. */
  | { taken: () => Promise<void> | void }
  /** Takes the request, never answers. */
  | 'silent'
  /** 200 and a body that does not end. */
  | 'slow-body'
  | 'drop';

export interface Webhook {
  url: string;
  received: Received;
  requests: number;
  /** The step for each request; 200 by default. */
  script: (request: number) => WebhookStep;
  close(): Promise<void>;
}

const ok: WebhookStep = { status: 200 };

export async function startWebhook(): Promise<Webhook> {
  const server: Server = createServer((request, response) => void take(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the webhook does not listen');
  const webhook: Webhook = {
    url: `http://127.0.0.1:${address.port}/in`,
    received: new Received(),
    requests: 0,
    script: () => ok,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const document: unknown = JSON.parse(Buffer.concat(chunks).toString());
    const id = typeof document === 'object' && document && 'id' in document ? String(document.id) : '';
    const key = String(request.headers['idempotency-key']);
    const step = webhook.script(webhook.requests++);
    const taken = () => webhook.received.add(id, key);
    if (step === 'silent') return;
    if (step === 'drop') return void request.socket.destroy();
    if (step === 'slow-body') {
      taken();
      response.writeHead(200).write('{');
      return;
    }
    if ('taken' in step) {
      taken();
      await step.taken();
      return void response.writeHead(200).end();
    }
    if (step.after) await sleep(step.after);
    if (step.status < 300) taken();
    response.writeHead(step.status, step.headers).end();
  }
  return webhook;
}

/** What the partner's server answers to the final dot. */
export type PartnerStep =
  | { code: number; text?: string }
  | { taken: () => Promise<void> | void }
  /** Takes the message and cuts the connection in place of a reply. */
  | 'take-and-drop'
  /** Cuts the connection without taking it. */
  | 'drop';

export interface PartnerServer {
  port: number;
  /** By what `knownBy` says, under the Message-ID. */
  received: Received;
  mails: number;
  script: (mail: number) => PartnerStep;
  close(): Promise<void>;
}

const messageIdOf = (mail: string) => /^message-id:\s*<([^>]+)>/im.exec(mail)?.[1] ?? '';

/** @param knownBy what a mail is known by; two Message-IDs under one are two mails */
export async function startPartner(knownBy = messageIdOf): Promise<PartnerServer> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 100,
    async onData(stream, session, done) {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of stream) chunks.push(chunk);
      } catch {
        return; // the sender died in the middle
      }
      const mail = Buffer.concat(chunks).toString('latin1');
      const taken = () => partner.received.add(knownBy(mail), messageIdOf(mail));
      const step = partner.script(partner.mails++);
      const cut = () => {
        for (const connection of server.connections)
          if (connection.session === session) connection._socket.destroy();
      };
      if (step === 'drop') return cut();
      if (step === 'take-and-drop') {
        taken();
        return cut();
      }
      if ('taken' in step) {
        taken();
        await step.taken();
        return done();
      }
      if (step.code < 300) {
        taken();
        return done();
      }
      done(Object.assign(new Error(step.text ?? 'as the script says'), { responseCode: step.code }));
    },
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the partner does not listen');
  const partner: PartnerServer = {
    port: address.port,
    received: new Received(),
    mails: 0,
    script: () => ({ code: 250 }),
    async close() {
      for (const connection of server.connections) connection._socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return partner;
}
