/** Deliveries and dependencies for the tests of this room. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Redis } from 'ioredis';
import type { Delivery, DeliveryPiece, DestinationDeps, JsonValue } from '../../src/handoff/types.ts';
import { createLog } from '../../src/log.ts';

export const crlf = (text: string): Buffer => Buffer.from(text.replace(/\r?\n/g, '\r\n'));

export const outerHeader = crlf(`Received: from partner.example by mx.example; Mon, 23 Nov 2026 00:00:00 +0000
From: =?utf-8?Q?Z=C3=BCrich?= Orders <orders@partner.example>
To: edi@example.com, "Second, One" <two@example.com>
Subject: =?utf-8?B?QmVzdGVsbHVuZyDinJM=?=
Date: Mon, 23 Nov 2026 01:00:00 +0100
Message-ID: <m1@partner.example>
MIME-Version: 1.0
Content-Type: application/pkcs7-mime; smime-type=enveloped-data;
 name=smime.p7m
Content-Transfer-Encoding: base64

`);

export const verdict: JsonValue = { status: 'ok', encrypted: true, layers: [] };

/** A delivery of the content, given in chunks of `chunk` octets when it is streamed. */
export function delivery(content: Buffer, changes: Partial<Delivery> = {}, chunk = 65536): Delivery {
  return {
    id: 'm-0001',
    idempotencyKey: 'm-0001:orders',
    direction: 'inbound',
    messageId: null,
    mailbox: 'edi',
    destination: 'orders',
    envelope: { from: 'orders@partner.example', to: ['edi@example.com'] },
    origin: { kind: 'smtp', detail: { client: '192.0.2.1' } },
    receivedAt: Date.UTC(2026, 10, 23, 0, 0, 1, 234),
    verdict,
    header: outerHeader,
    whole: false,
    async *content() {
      for (let at = 0; at < content.length; at += chunk) yield content.subarray(at, at + chunk);
    },
    contentOctets: content.length,
    contentSha256: createHash('sha256').update(content).digest('hex'),
    read: async () => content,
    pieces: [],
    ...changes,
  };
}

/** A piece of a delivery. */
export function piece(
  path: string,
  content: Buffer,
  contentType: string | null = 'text/plain',
): DeliveryPiece {
  return {
    path,
    contentType,
    octets: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    async *content() {
      for (let at = 0; at < content.length; at += 1000) yield content.subarray(at, at + 1000);
    },
    read: async () => content,
  };
}

export function deps(changes: Partial<DestinationDeps> = {}): DestinationDeps {
  return {
    readSecret: () => 'the shared secret',
    signedUrl: () => ({ url: 'https://sealpost.example/v1/messages/x/content', expires: 1_800_000_000_000 }),
    connectRedis: () => new Redis({ lazyConnect: true }),
    ensureReplicated: async () => undefined,
    redisPrefix: '{test}',
    bodyPart: { index: 0 },
    network: {},
    rate: () => ({ take: async () => 0, room: () => Number.POSITIVE_INFINITY, rests: () => 0 }),
    hostname: 'own.example',
    trace: (mailbox) => `trace-of-${mailbox}`,
    limits: { layers: 10, parts: 1000, depth: 50, work: 1_000_000, output: 1 << 24, headerSize: 102400 },
    log: createLog('silent', 'test'),
    now: Date.now,
    ...changes,
  };
}

export const never = new AbortController().signal;

/** A folder that goes with the test. */
export async function temporary(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sealpost-handoff-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** An order with a body, two attachments of nasty names, and a nested message that has an attachment itself. */
export const mixed = crlf(`Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1; format=flowed
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe =
aus Z=FCrich
--inner
Content-Type: text/html; charset=utf-8

<p>Gr\u00fc\u00dfe <img src="http://tracker.example/x.png"></p>
--inner--
--outer
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64
Content-Disposition: attachment;
 filename*0*=utf-8''..%2F..%2Fetc%2F;
 filename*1*=Bestellung%20%E2%82%AC.xml
Content-ID: <part3@partner.example>
Content-Description: =?utf-8?Q?die_Bestellung_=E2=82=AC?=
Content-Location: http://partner.example/order.xml

PG9yZGVyLz4=
--outer
Content-Type: message/rfc822
Content-Disposition: attachment; filename="C:\\\\temp\\\\CON.eml"

Subject: nested
Content-Type: multipart/mixed; boundary=deep

--deep
Content-Type: text/plain

secret of another origin
--deep--
--outer
Content-Type: text/xml; name="second.xml"

<second/>
--outer--
epilogue
`);
