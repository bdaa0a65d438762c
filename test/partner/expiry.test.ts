/** What ends soon is said in time: once for each certificate and threshold, and only where nothing follows. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { watchExpiry } from '../../src/certstore/index.ts';
import { loadKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { knownTls, publishTls, tlsSpans } from '../../src/config/tls-spans.ts';
import type { Log } from '../../src/log.ts';
import { registry } from '../../src/metrics.ts';
import { ExpiryWatch, endedAt, expiriesAt, expiryText, thresholdOf } from '../../src/partner/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { createTestCa } from '../support/ca.ts';
import { until } from '../support/messages.ts';
import { useTestQueue } from '../support/queue.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-expiry-'));
after(() => rmSync(folder, { recursive: true }));
const day = (text: string) => new Date(`${text}T00:00:00Z`);
const ca = createTestCa('Expiry', { notBefore: day('2020-01-01'), notAfter: day('2027-12-31') });
writeFileSync(join(folder, 'ca.pem'), ca.pem);
for (const [name, from, until] of [
  ['own', '2026-01-01', '2026-12-31'],
  ['next', '2026-12-01', '2027-12-01'],
  ['acme', '2026-01-01', '2027-01-14'],
  ['acme-next', '2027-01-01', '2028-01-01'],
  ['tls', '2026-01-01', '2027-02-01'],
] as const) {
  const issued = ca.issue({ commonName: name, notBefore: day(from), notAfter: day(until) });
  writeFileSync(join(folder, `${name}.pem`), issued.certPem);
  writeFileSync(join(folder, `${name}.key`), issued.keyPem, { mode: 0o600 });
}

async function read(
  more: { identities?: string; certificates?: string; partner?: string; mailboxes?: string } = {},
) {
  const file = join(folder, 'sealpost.yaml');
  const { identities = '', certificates = 'acme.pem', partner = '', mailboxes = '' } = more;
  const text = `
dataDir: .
smtp: { tls: { cert: tls.pem, key: tls.key } }
trust: { anchors: [ca.pem] }
identities: [{ name: own, certificate: own.pem, key: own.key }${identities}]
partners:
  - { name: acme, addresses: [a@acme.example], identity: own, certificates: [${certificates}]${partner} }
${mailboxes}
`;
  writeFileSync(file, text);
  const config = loadConfig(file);
  const keys = await loadKeys(config);
  return { config, ...keys, authorities: keys.anchors, tls: tlsSpans(config) };
}

const said = (parts: Awaited<ReturnType<typeof read>>, at: Date) =>
  expiriesAt(parts, at).map(
    ({ owner, uses, until }) => `${owner} ${uses.join('+')} ${until.toISOString().slice(0, 10)}`,
  );

describe('what ends', () => {
  const now = day('2026-12-10');
  it('is every use of partners, own keys, authorities and TLS, the soonest first', async () => {
    assert.deepEqual(said(await read(), now), [
      'identity own sign+decrypt 2026-12-31',
      'partner acme encrypt+verify 2027-01-14',
      'smtp.tls tls 2027-02-01',
      'trust trust 2027-12-31',
    ]);
  });
  it('is the signature of an identity that signs beside another one, too', async () => {
    const beside = { identities: ', { name: beside, certificate: next.pem, key: next.key, use: [sign] }' };
    const lines = async (more: Parameters<typeof read>[0]) =>
      said(await read(more), now).filter((line) => line.includes('beside'));
    assert.deepEqual(await lines(beside), []);
    const signs = { ...beside, partner: ', coSigners: [beside]' };
    assert.deepEqual(await lines(signs), ['identity beside sign 2027-12-01']);
    const ended = endedAt(await read(signs), day('2027-12-05')).map(({ owner, uses }) => [owner, ...uses]);
    assert.ok(ended.some(([owner, use]) => owner === 'identity beside' && use === 'sign'));
  });
  it('is not what another one follows', async () => {
    const follows = await read({
      identities: ', { name: own, certificate: next.pem, key: next.key }',
      certificates: 'acme.pem, acme-next.pem',
    });
    assert.deepEqual(said(follows, now).slice(0, 3), [
      'smtp.tls tls 2027-02-01',
      'identity own sign+decrypt 2027-12-01',
      'trust trust 2027-12-31',
    ]);
    const onlyVerified = await read({ certificates: 'acme.pem, { file: acme-next.pem, use: [verify] }' });
    assert.deepEqual(
      said(onlyVerified, now).filter((line) => line.includes('acme')),
      ['partner acme encrypt 2027-01-14', 'partner acme verify 2028-01-01'],
    );
  });
  it('is the moment of a term that comes before the end of the validity, and a gap', async () => {
    const gap = await read({
      certificates: '{ file: acme.pem, until: 2027-01-01 }, { file: acme-next.pem, from: 2027-01-02 }',
    });
    assert.ok(said(gap, now).includes('partner acme encrypt+verify 2027-01-01'));
  });
  it('is left out, and not even named, if it ends after the time in question', async () => {
    const parts = await read();
    const before = (text: string) => expiriesAt(parts, now, day(text)).map(({ owner }) => owner);
    assert.deepEqual(before('2026-12-30'), []);
    assert.deepEqual(before('2027-01-01'), ['identity own']);
    const [own] = parts.partners.get('acme') ?? [];
    assert.ok(own);
    const { notBefore, notAfter } = own.certificate;
    const unparsed = Object.defineProperty(
      { ...own, validity: { notBefore, notAfter }, fits: ['encrypt', 'sign'] as const },
      'certificate',
      { get: () => assert.fail('it is parsed') },
    );
    const thousands = { ...parts, partners: new Map([['acme', [unparsed]]]) };
    assert.equal(expiriesAt(thousands, now, day('2027-01-13')).length, 1);
    assert.throws(() => expiriesAt(thousands, now, day('2027-01-15')), /it is parsed/);
  });
  it('is said in one sentence with what to do', async () => {
    const [first] = expiriesAt(await read(), now);
    assert.ok(first);
    assert.match(
      expiryText(first, now),
      /^identity own: nothing follows CN=own, serial \w+, which ends in 21 days, on 2026-12-31 \(sign, decrypt\)$/,
    );
    assert.match(first.hint, /get its successor/);
  });
});

describe('a threshold', () => {
  const until = day('2027-01-31');
  const days = [60, 30, 14, 7, 1];
  for (const [at, expected] of [
    ['2026-12-01T23:59:59Z', undefined],
    ['2026-12-02T00:00:00Z', 60],
    ['2026-12-31T23:59:59Z', 60],
    ['2027-01-01T00:00:00Z', 30],
    ['2027-01-17T00:00:00Z', 14],
    ['2027-01-24T00:00:00Z', 7],
    ['2027-01-29T23:59:59Z', 7],
    ['2027-01-30T00:00:00Z', 1],
  ] as const)
    it(`on ${at}: ${expected}`, () => assert.equal(thresholdOf({ until }, new Date(at), days), expected));
});

function logOf(lines: string[]): Log {
  const take = (_facts: object, text: string) => void lines.push(text);
  return Object.assign(Object.create(null), { debug: take, info: take, warn: take, error: take });
}

describe('the watch', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });

  it('says each threshold once, day by day, and shows the seconds and the last week', async () => {
    const parts = await read();
    const lines: string[] = [];
    const told = new Set<string>();
    let now = day('2026-10-01');
    const watch = new ExpiryWatch({
      expiries: (at, before) => expiriesAt(parts, at, before),
      days: [60, 30, 14, 7, 1],
      log: logOf(lines),
      now: () => now,
      isMine: async () => true,
      once: async (name) => !told.has(name) && told.add(name) !== undefined,
    });
    const warned: string[] = [];
    const troubled: string[] = [];
    for (; now < day('2027-01-01'); now = new Date(now.getTime() + 43_200_000)) {
      lines.length = 0;
      await watch.look();
      for (const line of lines)
        if (line.startsWith('identity own')) warned.push(now.toISOString().slice(0, 10));
      if (watch.troubles().some(({ what }) => what === 'identity own soon'))
        troubled.push(now.toISOString().slice(0, 10));
    }
    assert.deepEqual(warned, ['2026-11-01', '2026-12-01', '2026-12-17', '2026-12-24', '2026-12-30']);
    assert.deepEqual([troubled[0], troubled.at(-1)], ['2026-12-24', '2026-12-31']);
    const [metric] = (await registry.getMetricsAsJSON()).filter(
      ({ name }) => name === 'sealpost_certificate_expiry_seconds',
    );
    const acme = metric?.values.find(({ labels }) => labels.partner === 'acme' && labels.use === 'encrypt');
    assert.equal(
      acme?.value,
      (day('2027-01-14').getTime() - day('2026-12-31').getTime() - 43_200_000) / 1000 + 1,
    );
  });

  it('is one of all processes, and remembers over a restart what was said', async () => {
    const soon = ca.issue({
      commonName: 'soon',
      notBefore: new Date(Date.now() - 86_400_000),
      notAfter: new Date(Date.now() + 5 * 86_400_000),
    });
    writeFileSync(join(folder, 'soon.pem'), soon.certPem);
    const keys = await read({ certificates: 'soon.pem' });
    const lines: string[] = [];
    const parts = {
      ...{ config: keys.config, keys, queue, log: logOf(lines), partners: () => keys.partners },
      onChange: () => () => {},
    };
    const first = watchExpiry(parts);
    await first.look();
    const second = watchExpiry(parts);
    await second.look();
    const about = () => lines.filter((line) => line.startsWith('partner acme'));
    assert.equal(about().length, 1);
    assert.deepEqual(
      [first.troubles().some(({ what }) => what === 'partner acme soon'), second.troubles()],
      [true, []],
    );
    first.stop();
    second.stop();
    await queue.redis.del(`${queue.prefix}:expiry:lease`);
    const restarted = watchExpiry(parts);
    await restarted.look();
    restarted.stop();
    assert.equal(restarted.troubles().length > 0, true);
    assert.equal(about().length, 1);
  });

  it('knows the certificates for TLS that only another role may read, as long as they are those of the setting', async () => {
    const { config } = await read();
    const values = sealedValues(queue, 'tls');
    const known = async (of = config) =>
      (await knownTls(values, of)).map(({ setting, spans }) => [setting, ...spans.map(({ until }) => until)]);
    await publishTls(values, config, 'api');
    renameSync(join(folder, 'tls.pem'), join(folder, 'away.pem'));
    try {
      assert.deepEqual(await known(), [['smtp.tls']], 'the API does not see them');
      renameSync(join(folder, 'away.pem'), join(folder, 'tls.pem'));
      await publishTls(values, config, 'receive');
      renameSync(join(folder, 'tls.pem'), join(folder, 'away.pem'));
      assert.deepEqual(await known(), [['smtp.tls', new Date('2027-02-01T00:00:01Z')]]);
      const key = config.smtp.tls?.key ?? '';
      const other = { ...config, smtp: { ...config.smtp, tls: { cert: `${folder}/other.pem`, key } } };
      assert.deepEqual(await known(other), [['smtp.tls']]);
      await queue.redis.set(`${queue.prefix}:tls:smtp.tls`, JSON.stringify({ of: '', certificates: [] }));
      assert.deepEqual(await known(), [['smtp.tls']], 'nobody can write it who has not the key of the spool');
    } finally {
      renameSync(join(folder, 'away.pem'), join(folder, 'tls.pem'));
    }
  });

  it('looks again when certificates have changed, and not after its end', async () => {
    const ended = ca.issue({
      commonName: 'ended',
      notBefore: new Date(Date.now() - 9 * 86_400_000),
      notAfter: new Date(Date.now() - 86_400_000),
    });
    writeFileSync(join(folder, 'ended.pem'), ended.certPem);
    const soon = (name: string) => createTestCa(name, { notAfter: new Date(Date.now() + 20 * 86_400_000) });
    writeFileSync(join(folder, 'mailbox.pem'), soon('Mailbox Root').pem);
    const written = await read({
      certificates: 'ended.pem',
      mailboxes: `mailboxes:
  - { name: edi, addresses: [e@own.example], trust: { anchors: [mailbox.pem] }, destinations: [{ type: directory, path: out }] }`,
    });
    const keys = { ...written, approvalAnchors: new Map([['acme', [soon('Partner Root').certificate]]]) };
    // left by the process of the test before
    await queue.redis.del(`${queue.prefix}:expiry:lease`);
    const listeners = new Set<() => void>();
    let partners: typeof keys.partners = keys.partners;
    const watch = watchExpiry({
      ...{ config: keys.config, keys, queue, log: logOf([]), partners: () => partners },
      onChange(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    });
    const due = async (): Promise<{ owner: string; certificate: string }[]> =>
      JSON.parse((await queue.redis.get(`${queue.prefix}:expiry:due`)) ?? '[]');
    const published = async () => (await due()).map(({ owner }) => owner);
    await until(async () => (await published()).includes('partner acme'));
    const roots = (await due())
      .filter(({ owner }) => owner === 'trust')
      .map(({ certificate }) => certificate);
    for (const name of ['Mailbox Root', 'Partner Root'])
      assert.ok(
        roots.some((each) => each.includes(name)),
        `${name}: ${roots.join()}`,
      );
    partners = new Map();
    for (const listener of listeners) listener();
    await until(async () => !(await published()).includes('partner acme'));
    watch.stop();
    assert.equal(listeners.size, 0);
  });
});
