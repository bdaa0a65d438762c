import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultBudget } from '../src/budget.ts';
import { attemptLimits } from '../src/handoff/attempt.ts';
import { largestInline, makeDocument } from '../src/handoff/document.ts';
import { partFileName } from '../src/handoff/names.ts';
import type { Delivery } from '../src/handoff/types.ts';
import { createIdentity, parseCertificate } from '../src/pki/index.ts';
import { type DecodeOptions, decodeSync, encodeSync } from '../src/smime/index.ts';

/*
 * Makes one dear mail (`make`), or does with it what a process of the daemon does (`run`) and tells the parent what
 * that took. Two processes, since what it takes to make a bomb must not count for what it does.
 */
const [, , task = '', name = '', folder = ''] = process.argv;
const file = (part: string) => join(folder, part);
const at = new Date('2026-01-01T00:00:00Z');

/** A mail without S/MIME on its way to a webhook. */
function deliveryOf(message: Buffer): Delivery {
  return {
    id: 'id',
    idempotencyKey: 'key',
    direction: 'inbound',
    messageId: null,
    mailbox: 'mailbox',
    destination: 'webhook',
    envelope: { from: 'a@a.example', to: ['b@b.example'] },
    origin: { kind: 'command', detail: {} },
    receivedAt: at.getTime(),
    verdict: {},
    header: Buffer.alloc(0),
    whole: true,
    content: async function* () {
      yield message;
    },
    contentOctets: message.length,
    contentSha256: '',
    read: async () => message,
    pieces: [],
  };
}

if (task === 'make') {
  const { dearMail } = await import('./worst-cost-mail.ts');
  const { alice, ca } = await import('../test/attacks/support.ts');
  const mail = dearMail.find((each) => each.name === name);
  if (mail === undefined) throw new Error(`there is no mail ${name}`);
  writeFileSync(file('mail'), mail.make());
  writeFileSync(file('key'), alice.keyPem);
  writeFileSync(file('cert'), alice.certificate.der);
  writeFileSync(file('ca'), ca.certificate.der);
  process.send?.({ step: mail.step });
} else {
  const certificate = parseCertificate(readFileSync(file('cert')));
  const anchor = parseCertificate(readFileSync(file('ca')));
  const identity = createIdentity('alice', [certificate], createPrivateKey(readFileSync(file('key'))));
  const passwords = ['one', 'two'].map((word) => ({ name: word, password: Buffer.from(word) }));
  const options: DecodeOptions = { identities: [identity], passwords, trust: { anchors: [anchor] }, at };
  const size = (count: number) => (count < 10_000 ? `${count} B` : `${(count / 1e6).toFixed(2)} MB`);
  const steps = {
    decode(message: Buffer): string {
      const { verdict, content } = decodeSync(message, options);
      const written = size(JSON.stringify(verdict).length);
      return `${verdict.error?.code ?? verdict.signature}, content ${size(content?.length ?? 0)}, verdict ${written}`;
    },
    async 'hand-off'(message: Buffer): Promise<string> {
      const limits = attemptLimits(
        { parts: 1000, depth: 100, headerSize: 100 << 10, ...defaultBudget },
        message.length,
      );
      const { document } = await makeDocument(deliveryOf(message), {
        inlineLimit: largestInline,
        bodyPart: { index: 1 },
        limits,
        signedUrl: undefined,
      });
      const { parts } = document;
      for (const { number, contentType, fileName } of parts) partFileName(number, contentType, fileName);
      return `${parts.length} parts, JSON ${size(JSON.stringify(document).length)}`;
    },
    encode(message: Buffer): string {
      const sign = { identity, sign: 'detached', signatureScheme: 'pkcs1', at } as const;
      return size(encodeSync(message, { ...sign, headerProtection: true }).length);
    },
  };
  const step = Object.entries(steps).find(([each]) => each === task)?.[1];
  if (step === undefined) throw new Error(`there is no step ${task}`);
  const octets = readFileSync(file('mail'));
  // nothing of the first call of a function is to be measured
  await step(Buffer.from('From: a@a.example\r\nContent-Type: text/plain\r\n\r\nx\r\n'));
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const start = process.cpuUsage();
  let outcome: string;
  try {
    outcome = await step(octets);
  } catch (error) {
    outcome = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  const { user, system } = process.cpuUsage(start);
  const megabytes = (process.resourceUsage().maxRSS * 1024 - before) / (1 << 20);
  process.send?.({
    octets: octets.length,
    seconds: (user + system) / 1e6,
    megabytes: Math.max(0, megabytes),
    outcome,
  });
}
