/**
 * Two whole Sealposts facing each other over TLS, with openssl as a third partner, while the clock of both, of their
 * Redis and of this process is moved day by day through 90 days in which every certificate is replaced: those that
 * sign, verify, encrypt and decrypt, of the listeners, and the client certificate of a route; issued by an authority
 * and self-signed; on the day that was agreed, early, late, and going back in between. Mail goes both ways every day.
 * `npm run test:roll-over` runs all 90 days with more pairs; without it, the days around the changes.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import * as der from '../../src/asn1/writer.ts';
import { operatorClient } from '../../src/client/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Outgoing, PartnerBook, submit } from '../../src/pipeline/submit.ts';
import { createTestCa, type IssueOptions } from '../support/ca.ts';
import { bootDaemon, type TestDaemon } from '../support/daemon.ts';
import { fakeClock, movedDate, skipWithoutClock } from '../support/fake-clock.ts';
import { freePort } from '../support/net.ts';
import { startTlsPeer, type TlsPeer } from '../support/tls-peer.ts';
import { crlf, makeWorld, openssl, skipWithout, type World } from '../support/world.ts';

const long = process.env.SEALPOST_LONG === '1';
const first = Date.parse('2030-01-01T00:00:00Z');
const dateOf = (day: number) => new Date(first + day * 86_400_000);
const isoOf = (day: number) => dateOf(day).toISOString().slice(0, 10);
/** Mail goes at eight in the morning. */
const morningOf = (day: number) => dateOf(day).getTime() + 8 * 3_600_000;

/** Validity in days: both are valid from day 20 to 59. The change that was agreed is on day 40. */
const validity = { old: [-300, 60], new: [20, 400] } as const;
const agreed = 40;

type Age = 'old' | 'new';
type Side = 'a' | 'b';
type Kind = 'issued' | 'self-signed';
/** An own key: from a day on it signs; null for one that only decrypts. */
type Own = readonly [Age, number | null];
/** What a party has, from which day on: where it goes back, it does not have the new key at all in the meantime. */
type Phases = readonly (readonly [day: number, own: readonly Own[]])[];

const old: Own = ['old', 0];
const both = (change: number): Own[] => [old, ['new', change]];
/** Days on which somebody changes without an agreement: there, back, and there again. Each costs a reload. */
const changes = long
  ? { early: 22, late: 58, there: 30, back: 36, again: 45 }
  : { early: 22, late: 58, there: 22, back: 40, again: 58 };
const ways = {
  'as agreed': [[0, both(agreed)]],
  early: [
    [0, [old]],
    [changes.early, both(changes.early)],
  ],
  late: [
    [0, [old]],
    [changes.late, both(changes.late)],
  ],
  'there and back': [
    [0, [old]],
    [changes.there, both(changes.there)],
    [changes.back, [old]],
    [changes.again, both(changes.again)],
  ],
  'back with both keys': [
    [0, [old]],
    [changes.there, both(changes.there)],
    [changes.back, [old, ['new', null]]],
    [changes.again, both(changes.again)],
  ],
} as const satisfies Record<string, Phases>;
type Way = keyof typeof ways;

/** Two parties that write to each other. */
interface Pair {
  name: string;
  kind: Kind;
  encryptTo: 'all' | 'shown' | 'shown-or-all';
  way: Record<Side, Way>;
}

const pair = (kind: Kind, encryptTo: Pair['encryptTo'], a: Way, b: Way): Pair => ({
  ...{ name: `${kind}-${encryptTo}-${a}-${b}`.replaceAll(' ', '-'), kind, encryptTo, way: { a, b } },
});

const few = [
  pair('issued', 'all', 'as agreed', 'late'),
  pair('self-signed', 'shown-or-all', 'as agreed', 'back with both keys'),
  pair('issued', 'all', 'late', 'there and back'),
  pair('self-signed', 'shown', 'as agreed', 'early'),
];
const more = (['issued', 'self-signed'] as const).flatMap((kind) => [
  pair(kind, 'all', 'there and back', 'early'),
  pair(kind, 'all', 'there and back', 'there and back'),
  pair(kind, 'shown', 'late', 'late'),
  pair(kind, 'shown', 'back with both keys', 'early'),
  pair(kind, 'shown-or-all', 'early', 'as agreed'),
]);
const pairs = long ? [...few, ...more] : few;

/** Days on which somebody changes are among them, and those before and after one of the two certificates. */
const days = long
  ? Array.from({ length: 90 }, (_, day) => day)
  : [19, changes.early, agreed, changes.late, 60];

describe('two Sealposts and openssl in a roll-over of all certificates', {
  skip: skipWithout('openssl') || skipWithoutClock,
  timeout: long ? 7_200_000 : 1_800_000,
}, () => {
  let world: World;
  let clerk: TlsPeer;
  const date = movedDate();
  let clock: ReturnType<typeof fakeClock>;
  const root = createTestCa('Roll-over CA', { notBefore: dateOf(-900), notAfter: dateOf(900) });
  const sides: Record<Side, { daemon: TestDaemon | undefined; port: number; written: string }> = {
    a: { daemon: undefined, port: 0, written: '' },
    b: { daemon: undefined, port: 0, written: '' },
  };
  const other = { a: 'b', b: 'a' } as const;
  const daemonOf = (side: Side): TestDaemon => sides[side].daemon ?? assert.fail(`no daemon ${side}`);

  const home = (side: Side) => join(world.folder, side);
  const pem = (of: string, age: Age) => join(world.folder, `${of}-${age}.pem`);
  const key = (of: string, age: Age) => join(world.folder, `${of}-${age}.key`);

  /** Both certificates of a party, for mail or TLS. */
  function issue(of: string, kind: Kind, options: IssueOptions): void {
    for (const age of ['old', 'new'] as const) {
      const [from, until] = validity[age];
      const dates = { notBefore: dateOf(from), notAfter: new Date(dateOf(until).getTime() - 1000) };
      const commonName = `${of} ${age}`;
      const made =
        kind === 'self-signed'
          ? createTestCa(commonName, {
              ...dates,
              keyUsage: ['digitalSignature', 'keyAgreement'],
              freshKey: true,
            })
          : root.issue({ commonName, ...dates, freshKey: true, ...options });
      writeFileSync(pem(of, age), made.certPem);
      writeFileSync(key(of, age), made.keyPem, { mode: 0o600 });
    }
  }

  const localhost = {
    eku: null,
    extensions: [
      {
        oid: '2.5.29.17',
        value: der.sequence(
          der.implicit(2, false, Buffer.from('localhost')),
          der.implicit(7, false, Buffer.from([127, 0, 0, 1])),
        ),
      },
    ],
  };

  const phaseOf = (way: Way, day: number) => {
    const phases: Phases = ways[way];
    return phases.findLast(([from]) => from <= day)?.[1] ?? [];
  };
  const files = (of: string, age: Age) => ({ cert: pem(of, age), key: key(of, age) });
  const overTime = (of: string) => ({
    ...files(of, 'old'),
    next: [{ ...files(of, 'new'), from: isoOf(agreed) }],
  });

  /** Both refuse mail without an attachment, and tell whoever sent it. */
  let refusing = false;

  /** The configuration of a side on a day. */
  function settings(side: Side, day: number): string {
    const address = (of: string, at: string) => `${of}@${at}.example`;
    const identities = (name: string, of: string, own: readonly Own[]) =>
      own.map(([age, from]) => ({
        ...{ name, certificate: pem(of, age), key: key(of, age) },
        ...(age === 'new' && (from === null ? { use: ['decrypt'] } : { from: isoOf(from) })),
      }));
    const partner = (name: string, of: string, facts: object) => ({
      ...{ name, identity: name, certificates: [pem(of, 'old'), pem(of, 'new')], ...facts },
    });
    const them = other[side];
    const route = {
      host: '127.0.0.1',
      port: sides[them].port,
      tls: 'required',
      ca: join(world.folder, 'root.pem'),
    };
    const toClerk = {
      addresses: ['edi@clerk.example'],
      from: 'clerk@a.example',
      route: { ...route, port: clerk.port, tls: 'implicit', clientCertificate: overTime('client') },
    };
    const config = {
      dataDir: join(home(side), 'data'),
      smtp: {
        listen: [{ port: sides[side].port }],
        hostname: 'localhost',
        greetingDelay: '0ms',
        tls: overTime(`tls-${side}`),
      },
      trust: { anchors: [join(world.folder, 'root.pem')] },
      identities: [
        ...pairs.flatMap(({ name, way }) => identities(name, `${name}-${side}`, phaseOf(way[side], day))),
        ...(side === 'a' ? identities('clerk', 'clerk-a', both(agreed)) : []),
      ],
      mailboxes: [
        {
          name: 'in',
          addresses: [`@${side}.example`],
          require: ['encrypted', 'signed', 'partner'],
          ...(refusing && { policy: { attachments: { minimum: 1 }, shortfall: 'refuse' } }),
          destinations: [{ type: 'directory', path: join(home(side), 'inbox') }],
        },
      ],
      partners: [
        ...pairs.map(({ name, encryptTo }) =>
          partner(name, `${name}-${them}`, {
            ...{ addresses: [address(name, them)], from: address(name, side), encryptTo, route },
            ...(refusing && { explain: { to: address(name, them) } }),
          }),
        ),
        ...(side === 'a' ? [partner('clerk', 'clerk-c', toClerk)] : []),
      ],
      workers: { decrypt: 1, outbound: 1 },
      retry: { attempts: 100, firstDelay: '100ms', maxDelay: '1s' },
    };
    return stringify(config);
  }

  function moveTo(time: number): void {
    const ahead = (time - realNow()) / 1000;
    clock.set(ahead);
    date.set(ahead);
  }

  /** The morning of a day: the clocks say so, and whoever changes something has done it. */
  async function begin(day: number): Promise<void> {
    moveTo(morningOf(day));
    for (const side of ['a', 'b'] as const) {
      const text = settings(side, day);
      if (text === sides[side].written) continue;
      writeFileSync(join(home(side), 'sealpost.yaml'), text);
      const isFirst = sides[side].written === '';
      sides[side].written = text;
      if (isFirst) continue;
      for (let tries = 1; ; tries++) {
        const { code, stderr } = await daemonOf(side).command(['reload']);
        if (code === 0) break;
        // On a busy machine, a new process may give up on Redis, and the old ones stay: a person would try again.
        assert.ok(tries < 4 && stderr.includes('redis does not answer'), `day ${day}: ${stderr}`);
      }
    }
  }

  /** Milliseconds by the clock of the machine. */
  const realNow = () => performance.timeOrigin + performance.now();

  const textOf = (of: string, side: string, day: number) => `${of}: ${side} writes on day ${day}`;

  async function send(side: Side, partner: string, day: number): Promise<string> {
    const { queue, configFile } = daemonOf(side);
    const octets = Buffer.from(
      `Subject: ${day}\r\nContent-Type: text/plain\r\n\r\n${textOf(partner, side, day)}\r\n`,
    );
    const parts = {
      partners: new PartnerBook(loadConfig(configFile).partners),
      withIntake: async <T>(work: (intake: typeof queue.intake) => Promise<T>) => await work(queue.intake),
      now: () => new Date(),
    };
    const [sent] = await submit(parts, {
      ...{ client: operatorClient, to: { partner }, origin: { kind: 'command', detail: {} } as const },
      outgoing: Outgoing.mail(() => [octets], 'mail'),
    });
    return sent?.id ?? '';
  }

  /** What was handed off since the last look: whose it is, by which proof, and the text. */
  function handedOff(side: Side): string[] {
    const inbox = join(home(side), 'inbox');
    return readdirSync(inbox)
      .filter((name) => !name.startsWith('.'))
      .map((name) => {
        const read = (file: string) => readFileSync(join(inbox, name, file), 'utf8');
        const { sender } = JSON.parse(read('verdict.json'));
        const [, text = ''] = /^(\S+: .*)$/m.exec(read('message.eml').split('\r\n\r\n').at(-1) ?? '') ?? [];
        rmSync(join(inbox, name), { recursive: true });
        return `${sender?.partner} by ${sender?.by}: ${text}`;
      });
  }

  /** All that comes, until as many are there; at once an error if anything is suspended. */
  async function arrivals(side: Side, count: number): Promise<string[]> {
    const daemon = daemonOf(side);
    const came: string[] = [];
    await daemon.waitFor(`${count} messages are handed off`, async () => {
      came.push(...handedOff(side));
      const { suspended } = await daemon.queue.ledger.count();
      if (suspended > 0) {
        const { messages } = await daemon.queue.ledger.list({ state: 'suspended' });
        assert.fail(`suspended on side ${side}: ${JSON.stringify(messages.map(({ events }) => events))}`);
      }
      return came.length >= count;
    });
    return came.sort();
  }

  /** The clerk's keys of a day; it changes on day 45, and writes to the old certificate of a until day 58. */
  const clerkHas = (day: number): Age => (day < changes.again ? 'old' : 'new');

  function clerkWrites(day: number): Buffer {
    const age = clerkHas(day);
    const signed = openssl(
      ['cms', '-sign', '-nodetach', '-signer', pem('clerk-c', age), '-inkey', key('clerk-c', age)],
      `Content-Type: text/plain\r\n\r\n${textOf('clerk', 'c', day)}\r\n`,
    );
    const to = pem('clerk-a', day < changes.late ? 'old' : 'new');
    const sealed = openssl(['cms', '-encrypt', '-aes256', to], crlf(signed));
    const header = `From: edi@clerk.example\r\nTo: clerk@a.example\r\nSubject: ${day}\r\nMessage-ID: <${day}@clerk.example>\r\n`;
    return Buffer.concat([Buffer.from(header), crlf(sealed)]);
  }

  function clerkReads(octets: Buffer, day: number): void {
    const age = clerkHas(day);
    const opened = openssl(
      ['cms', '-decrypt', '-recip', pem('clerk-c', age), '-inkey', key('clerk-c', age)],
      octets,
    );
    const at = String(Math.round(morningOf(day) / 1000));
    const signer = join(world.folder, 'signer.pem');
    const args = ['-CAfile', join(world.folder, 'root.pem'), '-attime', at, '-signer', signer];
    const text = openssl(['cms', '-verify', ...args], opened).toString();
    assert.match(text, new RegExp(textOf('clerk', 'a', day)));
    assert.equal(subjectOf(readFileSync(signer)), `clerk-a ${day < agreed ? 'old' : 'new'}`);
    const shown = clerk.taken.at(-1)?.client;
    assert.equal(shown, `CN=client ${day < agreed ? 'old' : 'new'}`, 'client certificate of the route');
  }

  const subjectOf = (octets: Buffer) => new X509Certificate(octets).subject.replace('CN=', '');

  /** What a listener shows. */
  function shownBy(side: Side): string {
    const connect = ['s_client', '-connect', `127.0.0.1:${sides[side].port}`, '-starttls', 'smtp'];
    return subjectOf(openssl(connect, 'QUIT\r\n'));
  }

  before(async () => {
    world = makeWorld();
    clock = fakeClock(world.folder);
    writeFileSync(join(world.folder, 'root.pem'), root.pem);
    for (const { name, kind } of pairs)
      for (const side of ['a', 'b'] as const)
        issue(`${name}-${side}`, kind, { email: `${name}@${side}.example` });
    issue('clerk-a', 'issued', { email: 'clerk@a.example' });
    issue('clerk-c', 'issued', { email: 'edi@clerk.example', key: 'rsa2048' });
    for (const name of ['tls-a', 'tls-b', 'tls-c', 'client']) issue(name, 'issued', localhost);
    clerk = await startTlsPeer({ ...files('tls-c', 'old'), implicit: true, asks: true });
    for (const side of ['a', 'b'] as const) {
      mkdirSync(join(home(side), 'inbox'), { recursive: true });
      sides[side].port = await freePort();
    }
    await begin(days[0] ?? 0);
    await Promise.all(
      (['a', 'b'] as const).map(async (side) => {
        sides[side].daemon = await bootDaemon(home(side), join(home(side), 'sealpost.yaml'), {
          env: clock.env,
        });
      }),
    );
  });
  after(async () => {
    date.restore();
    await Promise.all([sides.a.daemon?.stop(), sides.b.daemon?.stop()]);
    clerk?.stop();
    world?.remove();
  });

  for (const day of days)
    it(`day ${day}: mail both ways, between all`, async () => {
      await begin(day);
      // its own server changes as well, and is verified
      clerk.options = { ...clerk.options, ...files('tls-c', day < agreed ? 'old' : 'new') };
      // a connection that is still open from the day before has shown the certificate of that day
      clerk.hangUp();
      const taken = clerk.octets.length;
      const ids = { a: [] as string[], b: [] as string[] };
      for (const { name } of pairs)
        for (const side of ['a', 'b'] as const) ids[side].push(await send(side, name, day));
      ids.a.push(await send('a', 'clerk', day));
      const from = { from: 'edi@clerk.example', to: ['clerk@a.example'] };
      await daemonOf('a').accept(clerkWrites(day), from);

      const expected = (side: Side) =>
        pairs.map(({ name }) => `${name} by signature: ${textOf(name, side, day)}`);
      assert.deepEqual(await arrivals('b', pairs.length), expected('a').sort());
      const fromClerk = `clerk by signature: ${textOf('clerk', 'c', day)}`;
      assert.deepEqual(await arrivals('a', pairs.length + 1), [...expected('b'), fromClerk].sort());
      for (const side of ['a', 'b'] as const)
        for (const id of ids[side]) {
          const { state, events } = await daemonOf(side).reaches(id, 'sent', 'suspended', 'terminated');
          assert.equal(state, 'sent', JSON.stringify(events));
        }
      assert.equal(clerk.octets.length, taken + 1);
      clerkReads(clerk.octets.at(-1) ?? Buffer.alloc(0), day);
      for (const side of ['a', 'b'] as const)
        assert.equal(
          shownBy(side),
          `tls-${side} ${day < agreed ? 'old' : 'new'}`,
          'certificate of the listener',
        );
    });

  it('two that refuse what the other writes explain it once, and are silent about the explanations', async () => {
    refusing = true;
    const day = (days.at(-1) ?? 0) + 1;
    await begin(day);
    const since = morningOf(day) + 3_600_000;
    moveTo(since);
    const [{ name } = { name: '' }] = pairs;
    const ends = ['a', 'b'] as const;
    for (const side of ends) await send(side, name, day);
    const listed = async (side: Side, direction: 'inbound' | 'outbound') =>
      (await daemonOf(side).queue.ledger.list({ direction, since })).messages;
    const reached = async (side: Side, direction: 'inbound' | 'outbound', ...wanted: string[]) =>
      await daemonOf(side).waitFor(`${direction} of ${side}: ${wanted}`, async () => {
        const messages = await listed(side, direction);
        const states = messages.map(({ state }) => state).sort();
        return states.join() === wanted.join() ? messages : undefined;
      });
    for (const side of ends) {
      // nothing may be in hand when the clock moves, or its lock would be over
      await reached(side, 'inbound', 'terminated');
      const explanations = (await listed(side, 'outbound')).filter(({ origin }) => origin.kind === 'daemon');
      const [told] = explanations;
      assert.deepEqual([explanations.length, told?.envelope.from], [1, '']);
      // at the end of a minute, whatever the decoding took
      const leaves = told?.delivery?.notBefore ?? 0;
      assert.equal(leaves % 60_000, 0);
      assert.ok(leaves >= since + 60_000);
    }
    moveTo(since + 1_800_000);
    for (const side of ends)
      for (const { id } of await listed(side, 'outbound')) await daemonOf(side).queue.flow.retry(id);
    for (const side of ends) {
      const outbound = await reached(side, 'outbound', 'sent', 'sent');
      assert.deepEqual(outbound.map(({ origin }) => origin.kind).sort(), ['command', 'daemon']);
      const inbound = await reached(side, 'inbound', 'suspended', 'terminated');
      const suspended = inbound.find(({ state }) => state === 'suspended');
      const record = await daemonOf(side).queue.ledger.get(suspended?.id ?? '');
      assert.deepEqual([record?.reason, record?.envelope.from], ['policy-attachments', '']);
      assert.match(String(record?.events.at(-1)?.facts.unexplained), /by a machine/);
    }
    for (const side of ends) {
      assert.equal((await listed(side, 'outbound')).length, 2, 'no answer to the explanation');
      assert.deepEqual(handedOff(side), []);
    }
  });

  it('no process has ended because the time moved', () => {
    for (const side of ['a', 'b'] as const) {
      const log = daemonOf(side).log();
      assert.doesNotMatch(log, /role process ended/, basename(home(side)));
    }
  });
});
