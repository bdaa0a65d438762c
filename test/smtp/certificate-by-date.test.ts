/** TLS certificates of listeners and routes that follow each other by date, without a restart. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, mock } from 'node:test';
import { connect } from 'node:tls';
import { createListener, setCertificate } from '../../src/api/listener.ts';
import { Origins } from '../../src/api/origin.ts';
import { configSchema } from '../../src/config/schema.ts';
import { followTls, tlsAt } from '../../src/config/tls.ts';
import { createSender } from '../../src/smtp/index.ts';
import { createTestCa } from '../support/ca.ts';
import { RawClient, startReceiver } from '../support/smtp.ts';
import { startTlsPeer } from '../support/tls-peer.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-dated-'));
after(() => rmSync(folder, { recursive: true }));
const day = (text: string) => new Date(`${text}T00:00:00Z`);
const ca = createTestCa('Dated', { notBefore: day('2020-01-01'), notAfter: day('2040-01-01') });
const caFile = join(folder, 'ca.pem');
writeFileSync(caFile, ca.pem);

/** Long valid for whoever verifies it with the clock of this machine; our terms are what counts here. */
function files(name: string, from = '2020-01-01', until = '2040-01-01') {
  const issued = ca.issue({ commonName: name, eku: null, notBefore: day(from), notAfter: day(until) });
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  writeFileSync(cert, issued.certPem);
  writeFileSync(key, issued.keyPem);
  chmodSync(key, 0o600);
  return { cert, key };
}

/** As it is written: the old one until 15 March, the new one from 1 March. */
const written = {
  ...files('old'),
  until: '2027-03-15',
  next: [{ ...files('new'), from: '2027-03-01', until: '2027-06-01' }],
};
const { smtp } = configSchema.parse({ smtp: { tls: written } });
assert.ok(smtp.tls);
const { tls } = smtp;

/** The day before the change, its day, the last day of the old one, the day after; and after the end of both. */
const days: [string, string][] = [
  ['2027-02-28T23:59:59Z', 'old'],
  ['2027-03-01T00:00:00Z', 'new'],
  ['2027-03-14T12:00:00Z', 'new'],
  ['2027-03-15T12:00:00Z', 'new'],
  ['2027-05-31T23:59:59Z', 'new'],
  ['2027-06-01T00:00:00Z', 'new'],
];

const nameOf = (pem: Buffer | string) => new X509Certificate(pem).subject.replace('CN=', '');

/** Whom a server shows that speaks TLS from the first octet. */
async function shownAt(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  const name = socket.getPeerX509Certificate()?.subject.replace('CN=', '') ?? '';
  socket.destroy();
  return name;
}

describe('the certificate of a date', () => {
  for (const [at, expected] of days)
    it(`${at}: ${expected}`, () => assert.equal(nameOf(tlsAt(tls, new Date(at)).cert), expected));

  it('is the first before all, and the one that ended last after a gap', () => {
    const gap = {
      ...files('first', '2025-01-01', '2026-01-01'),
      next: [files('later', '2027-01-01', '2028-01-01')],
    };
    const at = (text: string) => nameOf(tlsAt(gap, day(text)).cert);
    assert.deepEqual(
      [at('2024-01-01'), at('2026-06-01'), at('2027-01-01'), at('2029-01-01')],
      ['first', 'first', 'later', 'later'],
    );
  });

  it('does not hang on files of later ones', () => {
    const later = { cert: '/none', key: '/none', from: day('2027-03-01').getTime() };
    const both = { ...files('only'), next: [later] };
    assert.equal(nameOf(tlsAt(both, day('2027-02-28')).cert), 'only');
    assert.throws(() => tlsAt(both, day('2027-03-01')), { code: 'file-access' });
  });
});

describe('following the date', () => {
  it('notices renewed files, and keeps what it has while they cannot be read', () => {
    const pair = files('renewed');
    const applied: string[] = [];
    let troubles = 0;
    const { look, stop } = followTls(pair, tlsAt(pair, new Date()), {
      now: () => new Date(),
      apply: ({ cert }) => applied.push(nameOf(cert)),
      onTrouble: () => troubles++,
    });
    look();
    assert.deepEqual(applied, []);
    writeFileSync(pair.key, 'half');
    look();
    look();
    assert.deepEqual([applied, troubles], [[], 1]);
    const next = files('again');
    writeFileSync(pair.cert, ca.issue({ commonName: 'x' }).certPem);
    look();
    assert.equal(applied.length, 0, 'the certificate is not that of the key');
    const issued = ca.issue({ commonName: 'whole', eku: null });
    writeFileSync(pair.cert, issued.certPem);
    writeFileSync(pair.key, issued.keyPem);
    look();
    stop();
    assert.deepEqual([applied, troubles, nameOf(tlsAt(next, new Date()).cert)], [['whole'], 1, 'again']);
  });

  it('changes the certificate of an SMTP listener, with STARTTLS and with implicit TLS', async () => {
    let now = '';
    mock.timers.enable({ apis: ['setInterval'] });
    now = days[0]?.[0] ?? '';
    const started = startReceiver(
      { listen: [{ port: 0 }, { port: 0, implicitTls: true }], tls: written },
      { now: () => Date.parse(now) },
    );
    const { receiver, ports } = await started;
    try {
      for (const [at, expected] of days) {
        now = at;
        mock.timers.tick(30_000);
        assert.equal(await shownAt(ports[1] ?? 0), expected, at);
        const client = await RawClient.connect(ports[0] ?? 0);
        await client.hello();
        await client.command('STARTTLS');
        const secure = connect({ socket: client.socket, rejectUnauthorized: false });
        await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject));
        assert.equal(secure.getPeerX509Certificate()?.subject, `CN=${expected}`, at);
        secure.destroy();
      }
    } finally {
      mock.timers.reset();
      await receiver.close(0);
    }
  });

  it('shows nobody a certificate that has ended since the last look at the time', async () => {
    let [now = ''] = days[0] ?? [];
    const { receiver, ports } = await startReceiver(
      { listen: [{ port: 0, implicitTls: true }], tls: written },
      { now: () => Date.parse(now) },
    );
    try {
      // forwards, and backwards as a clock that is set right
      for (const [at, expected] of [...days, ...days.toReversed()]) {
        now = at;
        assert.equal(await shownAt(ports[0] ?? 0), expected, at);
      }
    } finally {
      await receiver.close(0);
    }
  });

  it('changes the certificate of the API', async () => {
    const origins = new Origins({
      name: 'api',
      host: '127.0.0.1',
      hostnames: [],
      trustedProxies: [],
      tls: true,
    });
    const first = tlsAt(tls, day('2027-02-28'));
    const parts = { tls: first, origins, connections: 5, connectionsPerAddress: 5 };
    const server = createListener((_request, response) => void response.end(), parts);
    assert.ok(server instanceof HttpsServer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address: AddressInfo | string | null = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    let at = day('2027-02-28');
    const apply = (pair: typeof first) => setCertificate(server, pair);
    const { look, stop } = followTls(tls, first, { now: () => at, apply, onTrouble: () => assert.fail() });
    const seen: string[] = [];
    for (const [time] of days) {
      at = new Date(time);
      look();
      seen.push(await shownAt(port));
    }
    stop();
    server.close();
    assert.deepEqual(
      seen,
      days.map(([, name]) => name),
    );
  });

  it('changes the client certificate of a route', async () => {
    const server = await startTlsPeer({ ...files('server'), clientCa: caFile });
    const { partners } = configSchema.parse({
      partners: [
        {
          ...{ name: 'p', addresses: ['x@p.example'], encrypt: false, sign: 'none' },
          route: { host: 'localhost', port: server.port, tls: 'required', ca: caFile },
        },
      ],
    });
    const [partner] = partners;
    assert.ok(partner);
    let now = 0;
    try {
      for (const [at, expected] of days) {
        now = Date.parse(at);
        const sender = createSender({
          route: { ...partner.route, tls: 'opportunistic', ca: undefined, clientCertificate: tls },
          ...{ readSecret: () => '', name: 'us.example', now: () => now },
        });
        const outcome = await sender.send({
          envelope: { from: 'us@own.example', to: ['x@p.example'] },
          octets: async function* () {
            yield Buffer.from('Subject: x\r\n\r\nx\r\n');
          },
        });
        sender.close();
        assert.ok('done' in outcome, JSON.stringify(outcome));
        assert.deepEqual(server.taken.at(-1), { secure: true, client: `CN=${expected}` });
      }
    } finally {
      server.stop();
    }
  });
});
