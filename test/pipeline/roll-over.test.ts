/**
 * Two Sealposts that exchange mail every day while each replaces its certificates: on the day that was agreed, early,
 * late, and going back in between; with certificates of an authority and self-signed ones; with openssl as a third
 * partner on some days. Nothing is refused or unreadable on any day. `npm run test:roll-over` runs all 90 days of every
 * combination; without it, the days around each change, and some combinations.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type LoadedKeys, loadKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { tlsAt } from '../../src/config/tls.ts';
import { outboundProtection, PartnerDirectory, pinsOf, Shown, shownBy } from '../../src/partner/index.ts';
import { decodeStep } from '../../src/pipeline/decode.ts';
import { decoderOptions } from '../../src/pipeline/decoding.ts';
import { Turns } from '../../src/pipeline/index.ts';
import { type Certificate, readCertificates, validityAt } from '../../src/pki/index.ts';
import { ProfileBook } from '../../src/profile/index.ts';
import type { InboundJob } from '../../src/queue/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { envelope, fetchFrom, MemorySpool, never, origin } from './support.ts';

const long = process.env.SEALPOST_LONG === '1';
const folder = mkdtempSync(join(tmpdir(), 'sealpost-roll-over-'));
after(() => rmSync(folder, { recursive: true }));

const first = Date.parse('2027-01-01T00:00:00Z');
const dateOf = (day: number) => new Date(first + day * 86_400_000);
const isoOf = (day: number) => dateOf(day).toISOString().slice(0, 10);

/** Validity in days: both are valid from 20 to 59. The change that was agreed is on day 40. */
const validity = { old: [-300, 60], new: [20, 400] } as const;
const agreed = 40;

const root = createTestCa('Roll-over CA', { notBefore: dateOf(-900), notAfter: dateOf(900) });

function certificateOf(name: string, which: 'old' | 'new', kind: string): Issued {
  const [from, until] = validity[which];
  const dates = { notBefore: dateOf(from), notAfter: new Date(dateOf(until).getTime() - 1000) };
  const commonName = `${name} ${kind}`;
  const keyUsage = ['digitalSignature', 'keyAgreement'];
  if (kind === 'self-signed') return createTestCa(commonName, { ...dates, keyUsage, freshKey: true });
  return root.issue({ commonName, ...dates, keyUsage, email: `edi@${name}.example`, freshKey: true });
}

/** From which day on a party has and uses which of its keys, the newest first. */
type Phases = readonly (readonly [day: number, own: string])[];

const identities = {
  both: (change: number) =>
    `{ name: own, certificate: old.pem, key: old.key }, { name: own, certificate: new.pem, key: new.key, from: ${isoOf(change)} }`,
  old: '{ name: own, certificate: old.pem, key: old.key }',
  kept: '{ name: own, certificate: old.pem, key: old.key }, { name: own, certificate: new.pem, key: new.key, use: [decrypt] }',
};

/**
 * How a party changes. One that is late, or that goes there and back, does not have the new key at all in the meantime.
 * That it can read it once more, nobody else can know before its next mail: with `shown`, it must keep the key.
 */
const ways: Record<string, { phases: Phases; changes: readonly number[] }> = {
  'as agreed': { phases: [[0, identities.both(agreed)]], changes: [agreed] },
  early: {
    phases: [
      [0, identities.old],
      [22, identities.both(22)],
    ],
    changes: [22],
  },
  late: {
    phases: [
      [0, identities.old],
      [58, identities.both(58)],
    ],
    changes: [58],
  },
  'there and back': {
    phases: [
      [0, identities.old],
      [30, identities.both(30)],
      [36, identities.old],
      [45, identities.both(45)],
    ],
    changes: [30, 36, 45],
  },
  'back with both keys': {
    phases: [
      [0, identities.old],
      [30, identities.both(30)],
      [36, identities.kept],
      [45, identities.both(45)],
    ],
    changes: [30, 36, 45],
  },
};

interface Party {
  name: string;
  /** Takes over the configuration of a day, if it has changed. */
  at(day: number): Promise<void>;
  send(to: string, day: number): Promise<Buffer>;
  /** What became of a mail, and by which proof it is of the partner. */
  receive(octets: Buffer): Promise<string>;
  tlsAt(at: Date): Buffer;
}

function write(name: string, kind: string): string {
  const home = join(folder, `${name}-${kind}`);
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'root.pem'), root.pem);
  for (const which of ['old', 'new'] as const) {
    const issued = certificateOf(name, which, kind);
    writeFileSync(join(home, `${which}.pem`), issued.certPem);
    writeFileSync(join(home, `${which}.key`), issued.keyPem, { mode: 0o600 });
  }
  return home;
}

function partyOf(name: string, other: string, kind: string, phases: Phases, encryptTo: string): Party {
  const home = write(name, kind);
  const theirs = join(folder, `${other}-${kind}`);
  let loaded: { config: Config; keys: LoadedKeys; phase: number } | undefined;
  let now = dateOf(0);
  const facts = new Map<string, unknown>();
  const values = {
    get: async (key: string) => facts.get(key),
    put: async (key: string, value: unknown) => void facts.set(key, value),
  };
  const shown = new Shown(values, () => now.getTime());
  const ready = () => {
    assert.ok(loaded);
    return loaded;
  };
  let receiver: ReturnType<typeof decodeStep>;
  const spool = new MemorySpool(1_000_000);
  let sender: unknown;

  return {
    name,
    async at(day) {
      now = new Date(dateOf(day).getTime() + 8 * 3_600_000);
      const phase = phases.findLastIndex(([from]) => from <= day);
      if (loaded?.phase === phase) return;
      const file = join(home, 'sealpost.yaml');
      writeFileSync(
        file,
        `
dataDir: .
smtp:
  listen: [{ port: 2525 }]
  tls: { cert: old.pem, key: old.key, next: [{ cert: new.pem, key: new.key, from: ${isoOf(agreed)} }] }
trust: { anchors: ${kind === 'self-signed' ? '[]' : '[root.pem]'} }
identities: [${phases[phase]?.[1]}]
mailboxes:
  - { name: in, addresses: [edi@${name}.example], require: [encrypted, signed, partner], destinations: [{ type: directory, path: in }] }
partners:
  - { name: ${other}, addresses: [edi@${other}.example], identity: own, encryptTo: ${encryptTo}, certificates: [${theirs}/old.pem, ${theirs}/new.pem] }
`,
      );
      const config = loadConfig(file);
      const keys = await loadKeys(config);
      loaded = { config, keys, phase };
      receiver = decodeStep({
        spool,
        flow: {
          fetch: fetchFrom(spool, 'received'),
          async decoded(_job, outcome) {
            await outcome.content.finish();
            sender = `${outcome.partner} by ${outcome.partnerBy}`;
          },
          async handedOffAtOnce() {},
          async dropped() {},
        },
        mailboxes: config.mailboxes,
        strong: config.strong,
        guards: { first: async () => null },
        explain: async () => ({ not: 'nobody is told here' }),
        trace: (mailbox) => `trace-of-${mailbox}`,
        partners: new PartnerDirectory(config.partners, keys.partners),
        profiles: new ProfileBook(undefined, {}),
        optionsFor: decoderOptions({
          ...{ keys, limits: config.limits, authorities: undefined, now: () => now },
          pins: pinsOf(keys.partners.values()),
        }),
        large: new Turns(1),
        local: () => undefined,
        onAccepted(mail) {
          for (const fact of shownBy(mail, (partner) => keys.partners.get(partner) ?? [])) shown.note(fact);
        },
      });
    },
    async send(to, day) {
      const { config, keys } = ready();
      const partner = config.partners.find((each) => each.name === to);
      assert.ok(partner);
      const mail = `From: edi@${name}.example\r\nSubject: ${day}\r\nContent-Type: text/plain\r\n\r\nday ${day}\r\n`;
      const seen = await shown.of(to);
      return encodeSync(Buffer.from(mail), outboundProtection(partner, keys, now, seen));
    },
    async receive(octets) {
      const { config } = ready();
      sender = undefined;
      const job: InboundJob = {
        ...{ id: 'i1', direction: 'inbound', mailbox: 'in', origin, envelope, messageId: null },
        receivedAt: now.getTime(),
        octets: spool.put(octets),
      };
      const outcome = await receiver(job, { signal: never });
      await shown.flush();
      assert.ok('done' in outcome, `${config.partners[0]?.name} to ${name}: ${JSON.stringify(outcome)}`);
      return String(sender);
    },
    tlsAt(at) {
      const { tls } = ready().config.smtp;
      assert.ok(tls);
      return tlsAt(tls, at).cert;
    },
  };
}

function certificateIn(pem: Buffer): Certificate {
  const [certificate] = readCertificates(pem);
  assert.ok(certificate);
  return certificate;
}

/** Every day, or those around changes and ends and some in between. */
function daysOf(changes: readonly number[]): number[] {
  const all = Array.from({ length: 90 }, (_, day) => day);
  const near = [0, 89, ...validity.new, ...validity.old, ...changes, agreed].flatMap((day) => [
    day - 1,
    day,
    day + 1,
  ]);
  return long ? all : all.filter((day) => near.includes(day) || day % 15 === 0);
}

const run = (home: string, ...args: string[]) => execFileSync('openssl', args, { cwd: home, stdio: 'pipe' });

/** openssl reads and verifies a mail with whatever keys its owner has on that day. */
function readByOpenssl(
  octets: Buffer,
  reader: string,
  writer: string,
  kind: string,
  keys: string[],
  day: number,
) {
  const home = join(folder, `${reader}-${kind}`);
  writeFileSync(join(home, 'mail.eml'), octets);
  const opened = keys.some((which) => {
    try {
      run(
        home,
        ...'cms -decrypt -in mail.eml -out opened.eml -recip'.split(' '),
        `${which}.pem`,
        '-inkey',
        `${which}.key`,
      );
      return true;
    } catch {
      return false;
    }
  });
  assert.ok(opened, `openssl reads the mail of day ${day}`);
  const theirs = join(folder, `${writer}-${kind}`);
  const trusted = ['root', 'old', 'new'].map((each) => readFileSync(join(theirs, `${each}.pem`), 'utf8'));
  writeFileSync(join(home, 'trusted.pem'), trusted.join(''));
  const at = String(dateOf(day).getTime() / 1000 + 8 * 3600);
  run(
    home,
    ...'cms -verify -in opened.eml -out text.eml -CAfile trusted.pem -partial_chain -attime'.split(' '),
    at,
  );
  assert.match(readFileSync(join(home, 'text.eml'), 'utf8'), new RegExp(`day ${day}\r?\n`));
}

/** openssl signs and encrypts a mail with a key of its owner. */
function writtenByOpenssl(writer: string, reader: string, kind: string, own: string, theirs: string): Buffer {
  const home = join(folder, `${writer}-${kind}`);
  writeFileSync(join(home, 'plain.txt'), 'Content-Type: text/plain\r\n\r\nfrom openssl\r\n');
  run(
    home,
    ...'cms -sign -nodetach -in plain.txt -out signed.eml -signer'.split(' '),
    `${own}.pem`,
    '-inkey',
    `${own}.key`,
  );
  const to = join(folder, `${reader}-${kind}`, `${theirs}.pem`);
  run(
    home,
    ...`cms -encrypt -aes256 -from edi@${writer}.example -to edi@${reader}.example -in signed.eml -out sealed.eml`.split(
      ' ',
    ),
    to,
  );
  return readFileSync(join(home, 'sealed.eml'));
}

async function exchange(kind: string, encryptTo: string, way: string, otherWay: string): Promise<number> {
  const [wayA, wayB] = [ways[way], ways[otherWay]];
  assert.ok(wayA && wayB);
  write('b', kind);
  const a = partyOf('a', 'b', kind, wayA.phases, encryptTo);
  const b = partyOf('b', 'a', kind, wayB.phases, encryptTo);
  let mails = 0;
  for (const day of daysOf([...wayA.changes, ...wayB.changes])) {
    await Promise.all([a.at(day), b.at(day)]);
    // whoever has changed writes first on some days, and second on others
    for (const [from, to] of [
      [a, b],
      [b, a],
      [a, b],
    ] as const) {
      const octets = await from.send(to.name, day);
      assert.equal(await to.receive(octets), `${from.name} by signature`, `day ${day}`);
      mails++;
      const keysOfB = (wayB.phases.findLast(([since]) => since <= day)?.[1] ?? '').includes('new')
        ? ['new', 'old']
        : ['old'];
      if (to === b && from === a && [25, 40, 59, 60].includes(day))
        readByOpenssl(octets, 'b', 'a', kind, keysOfB, day);
    }
    for (const party of [a, b]) {
      const at = dateOf(day);
      assert.equal(
        validityAt(certificateIn(party.tlsAt(at)), at),
        'valid',
        `TLS of ${party.name} on day ${day}`,
      );
    }
  }
  return mails;
}

const combinations: [string, string, string, string][] = long
  ? ['issued', 'self-signed'].flatMap((kind) =>
      ['all', 'shown-or-all', 'shown'].flatMap((encryptTo) =>
        Object.keys(ways).flatMap((way) =>
          Object.keys(ways)
            .filter((each) => encryptTo === 'all' || ![way, each].includes('there and back'))
            .map((other): [string, string, string, string] => [kind, encryptTo, way, other]),
        ),
      ),
    )
  : [
      ['issued', 'all', 'as agreed', 'late'],
      ['self-signed', 'shown-or-all', 'early', 'back with both keys'],
      ['issued', 'all', 'there and back', 'early'],
      ['self-signed', 'shown', 'as agreed', 'early'],
    ];

describe('a roll-over in both directions', () => {
  for (const [kind, encryptTo, way, other] of combinations)
    it(`${kind}, encryptTo: ${encryptTo}; a ${way}, b ${other}`, async () => {
      assert.ok((await exchange(kind, encryptTo, way, other)) >= 50);
    });

  it('takes mail that openssl writes with the old and the new key, while each is valid', async () => {
    const kind = 'issued';
    write('c', kind);
    const a = partyOf('a', 'c', kind, [[0, identities.both(agreed)]], 'all');
    for (const [day, own, theirs] of [
      [19, 'old', 'old'],
      [20, 'new', 'new'],
      [59, 'old', 'old'],
      [60, 'new', 'new'],
    ] as const) {
      await a.at(day);
      const octets = writtenByOpenssl('c', 'a', kind, own, theirs);
      assert.equal(await a.receive(octets), 'c by signature', `day ${day}`);
    }
  });
});
