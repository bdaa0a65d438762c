/** Somebody on the way to a partner's server, in its DNS, or in the place of the server itself. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { Dns } from '../../src/net/index.ts';
import { tlsResults } from '../../src/smtp/metrics.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { SenderParts } from '../../src/smtp/sender.ts';
import { startReceiver } from '../support/smtp.ts';
import { makeIssuedTls, makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { startTlsPeer, type TlsPeer, type TlsPeerOptions } from '../support/tls-peer.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';

const mail = Buffer.from('Subject: test\r\n\r\nbody\r\n');

let own: TlsFiles;
let issued: Awaited<ReturnType<typeof makeIssuedTls>>;
before(async () => {
  own = await makeTlsFiles('DNS:mx.partner.test');
  issued = await makeIssuedTls('DNS:mx.partner.test');
});
after(() => {
  own.remove();
  issued.remove();
});

const peers: TlsPeer[] = [];
after(() => {
  for (const { stop } of peers) stop();
});

async function peer(options: Partial<TlsPeerOptions> = {}): Promise<TlsPeer> {
  const made = await startTlsPeer({ cert: own.cert, key: own.key, ...options });
  peers.push(made);
  return made;
}

type Route = Partial<SenderParts['route']> & { port: number };

async function send(route: Route, parts: Partial<SenderParts> = {}, to = 'x@partner.test') {
  const sender = createSender({
    route: { tls: 'required', connections: 1, ...route },
    readSecret: () => '',
    name: 'us.example',
    ...parts,
  });
  const outcome = await sender.send({
    envelope: { from: 'us@own.example', to: [to] },
    octets: async function* () {
      yield mail;
    },
  });
  sender.close();
  if ('done' in outcome) return { outcome: 'sent', reply: String(outcome.facts?.reply), peer: 'works' };
  const what = 'retry' in outcome ? outcome.retry : outcome.suspend;
  return { outcome: what, reply: String(outcome.facts?.reply), peer: outcome.peer };
}

const spki = (file: string) =>
  new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
const digest = (file: string) => createHash('sha256').update(spki(file)).digest('hex');

/** What the server heard after it had shown its certificate. */
const overTls = ({ lines }: TlsPeer) => lines.filter((line) => line.startsWith('tls '));
const mailed = ({ lines }: TlsPeer) => lines.some((line) => /(MAIL|AUTH)/.test(line));

async function counted(policy: string, result: string): Promise<number> {
  const { values } = await tlsResults.get();
  return values.find(({ labels }) => labels.policy === policy && labels.result === result)?.value ?? 0;
}

describe('somebody who removes STARTTLS from what a server offers', () => {
  it('gets no mail where TLS is required, and the route counts as down', async () => {
    const server = await peer({ startTls: 'hidden' });
    const before = await counted('required', 'starttls-not-supported');
    const result = await send({ host: '127.0.0.1', port: server.port });
    assert.deepEqual([result.outcome, result.peer], ['tls-failed', 'down']);
    assert.match(result.reply, /does not offer STARTTLS/);
    assert.equal(mailed(server), false);
    assert.equal(await counted('required', 'starttls-not-supported'), before + 1);
  });

  it('who answers it with an error gets no mail in clear either, although TLS was only opportunistic', async () => {
    for (const startTls of ['refused', 'broken'] as const) {
      const server = await peer({ startTls });
      const route = { host: '127.0.0.1', port: server.port, tls: 'opportunistic' } as const;
      assert.equal((await send(route)).outcome, 'tls-failed', startTls);
      assert.equal(mailed(server), false, startTls);
      server.options = { cert: own.cert, key: own.key };
      assert.equal((await send(route)).outcome, 'sent', 'tried again, over TLS');
      assert.deepEqual(server.taken, [{ secure: true, client: undefined }]);
    }
  });

  it('is not noticed where TLS was only opportunistic and nothing else was published', async () => {
    const server = await peer({ startTls: 'hidden' });
    const before = await counted('opportunistic', 'starttls-not-supported');
    assert.equal(
      (await send({ host: '127.0.0.1', port: server.port, tls: 'opportunistic' })).outcome,
      'sent',
    );
    assert.equal(await counted('opportunistic', 'starttls-not-supported'), before + 1, 'but it is counted');
  });
});

describe('somebody who writes behind the reply to STARTTLS, in clear', () => {
  it('says nothing to us: what counts is what the server says over TLS', async () => {
    // a size that the message is above, and an extension that the server does not have
    const server = await peer({ inject: '250-peer\r\n250-SMTPUTF8\r\n250 SIZE 1\r\n250 taken\r\n' });
    const result = await send({ host: '127.0.0.1', port: server.port, tls: 'opportunistic' });
    assert.equal(result.outcome, 'sent');
    assert.deepEqual(overTls(server)[0], 'tls EHLO us.example');
    assert.equal(server.taken.length, 1);
  });

  it('has no line completed by ours', async () => {
    const server = await peer({ inject: '250 SIZE 1' });
    assert.equal(
      (await send({ host: '127.0.0.1', port: server.port, tls: 'opportunistic' })).outcome,
      'sent',
    );
  });
});

describe('a server with another key than the pinned one', () => {
  it('hears nothing after the handshake, with STARTTLS or without', async () => {
    for (const implicit of [false, true]) {
      const server = await peer({ implicit });
      const before = await counted('pinned', 'certificate-not-trusted');
      const result = await send({
        ...{ host: '127.0.0.1', port: server.port, tls: implicit ? 'implicit' : 'required' },
        pins: [digest(issued.cert)],
      });
      assert.equal(result.outcome, 'tls-failed');
      assert.match(result.reply, /not one of the pinned/);
      assert.match(result.reply, /^127\.0\.0\.1: .* \(certificate .*, serial [0-9a-f]+, until .*GMT\)$/);
      assert.deepEqual(overTls(server), []);
      assert.equal(await counted('pinned', 'certificate-not-trusted'), before + 1);
    }
  });

  it('is told from the right one, whose certificate may be self-signed and have any name', async () => {
    for (const implicit of [false, true]) {
      const server = await peer({ implicit });
      const route = {
        host: '127.0.0.1',
        port: server.port,
        tls: implicit ? 'implicit' : 'required',
      } as const;
      assert.equal((await send({ ...route, pins: [digest(issued.cert), digest(own.cert)] })).outcome, 'sent');
      const without = await send(route);
      assert.equal(without.outcome, 'tls-failed', 'without the pin it is not trusted');
      assert.match(without.reply, /^the TLS certificate of 127\.0\.0\.1 is self-signed/);
    }
  });

  it('does not pass for a server of another name or authority', async () => {
    const server = await peer({ cert: issued.cert, key: issued.key });
    const route = { host: 'localhost', port: server.port, ca: issued.ca };
    const before = await counted('pinned', 'certificate-host-mismatch');
    const refused = await send(route);
    assert.equal(refused.outcome, 'tls-failed', 'another name');
    assert.match(refused.reply, /^the TLS certificate of localhost is for (?:DNS|IP).* alone$/);
    assert.equal(await counted('pinned', 'certificate-host-mismatch'), before + 1);
    assert.equal((await send({ ...route, ca: own.cert })).outcome, 'tls-failed', 'another authority');
    assert.deepEqual(overTls(server), []);
  });
});

describe('a server that asks for our certificate', () => {
  it('gets that of the route, and nobody else is let in', async () => {
    const server = await peer({ clientCa: issued.ca });
    const route = { host: '127.0.0.1', port: server.port, pins: [digest(own.cert)] };
    const { cert, key } = issued;
    assert.equal((await send({ ...route, clientCertificate: { cert, key } })).outcome, 'sent');
    assert.deepEqual(server.taken, [{ secure: true, client: 'CN=server' }]);
    assert.equal((await send(route)).outcome, 'tls-failed');
    assert.equal(server.taken.length, 1);
  });
});

describe('DNS with proof', { skip: skipWithoutUnbound() }, () => {
  let server: TlsPeer;
  let unbound: Unbound;
  const tlsa = (record: string, host = 'mx') => `_${server.port}._tcp.${host} IN TLSA ${record}`;
  const hosts = ['@ IN MX 10 mx', 'mx IN A 127.0.0.1'];
  const partner = (...records: string[]) =>
    unbound.set({ name: 'partner.test', signed: true, records: [...hosts, ...records] });
  const via = (route: Partial<Route> = {}, dns: Dns = unbound.dns(), to?: string) =>
    send({ port: server.port, tls: 'opportunistic', ...route }, { dns }, to);

  before(async () => {
    server = await peer();
    const [right, wrong] = [`3 1 1 ${digest(own.cert)}`, `3 1 1 ${'ab'.repeat(32)}`];
    unbound = await startUnbound([
      { name: 'partner.test', signed: true, records: [...hosts, tlsa(right)] },
      { name: 'plain.test', signed: false, records: [...hosts, tlsa(wrong)] },
      { name: 'forged-mx.test', signed: true, records: hosts, forge: [/\tMX\t10 mx\./g, '\tMX\t9 evil.'] },
      {
        name: 'forged-address.test',
        signed: true,
        records: [...hosts, tlsa(right)],
        forge: [/127\.0\.0\.1\n/g, '127.0.0.9\n'],
      },
      {
        ...{ name: 'forged-tlsa.test', signed: true, records: [...hosts, tlsa(right)] },
        forge: [/TLSA\t3 1 1/g, 'TLSA\t3 0 1'],
      },
    ]);
  });
  after(() => unbound.stop());

  const heard = async (work: () => ReturnType<typeof via>) => {
    server.lines.length = 0;
    server.taken.length = 0;
    const { outcome, reply } = await work();
    return { outcome, reply, mailed: mailed(server), over: overTls(server).length };
  };

  it('sends to a self-signed server whose key is published, and to no other', async () => {
    const before = await counted('dane', 'ok');
    assert.equal((await heard(() => via())).outcome, 'sent');
    assert.equal(await counted('dane', 'ok'), before + 1);
    server.options = { cert: issued.cert, key: issued.key };
    const other = await heard(() => via());
    assert.deepEqual([other.outcome, other.over], ['tls-failed', 0]);
    assert.match(other.reply, /no TLSA record matches/);
    server.options = { cert: own.cert, key: own.key };
  });

  it('sends to no server that hides STARTTLS where keys are published', async () => {
    server.options = { ...server.options, startTls: 'hidden' };
    const result = await heard(() => via());
    assert.deepEqual([result.outcome, result.mailed], ['tls-failed', false]);
    server.options = { cert: own.cert, key: own.key };
  });

  it('takes records that were not validated for none: the wrong one in an unsigned zone does no harm', async () => {
    assert.equal((await heard(() => via({}, unbound.dns(), 'x@plain.test'))).outcome, 'sent');
    const needed = await heard(() => via({ dane: 'required' }, unbound.dns(), 'x@plain.test'));
    assert.deepEqual([needed.outcome, server.lines], ['tls-failed', []]);
    assert.match(needed.reply, /DANE is required/);
  });

  it('believes a resolver that does not say AD in nothing', async () => {
    const inner = unbound.dns();
    const silent: Dns = {
      lookup: async (name, type) => ({ ...(await inner.lookup(name, type)), secure: false }),
      close: () => {},
    };
    const needed = await heard(() => via({ dane: 'required' }, silent));
    assert.deepEqual([needed.outcome, server.lines], ['tls-failed', []]);
    for (const blind of ['MX', 'A', 'TLSA']) {
      const half: Dns = {
        lookup: async (name, type) => {
          const answer = await inner.lookup(name, type);
          return type === blind ? { ...answer, secure: false } : answer;
        },
        close: () => {},
      };
      assert.equal((await heard(() => via({ dane: 'required' }, half))).outcome, 'tls-failed', blind);
    }
    assert.equal((await heard(() => via({ dane: 'required' }))).outcome, 'sent');
  });

  it('waits, and asks nobody, when answers were forged', async () => {
    for (const name of ['forged-mx.test', 'forged-address.test', 'forged-tlsa.test']) {
      const result = await heard(() => via({}, unbound.dns(), `x@${name}`));
      assert.deepEqual([result.outcome, server.lines], ['dns-failed', []], name);
      assert.match(result.reply, name === 'forged-mx.test' ? /no answer from DNS/ : /SERVFAIL/);
    }
  });

  it('does not ask the system for a host of MX records that has no address', async () => {
    const inner = unbound.dns();
    const led: Dns = {
      lookup: async (name, type) => {
        if (name === 'localhost') return { records: [], secure: true, exists: false, name };
        const answer = await inner.lookup(name, type);
        if (type === 'MX')
          for (const { data } of answer.records) Object.assign(data, { exchange: 'localhost' });
        return answer;
      },
      close: () => {},
    };
    const result = await heard(() => via({}, led));
    assert.deepEqual([result.outcome, server.lines], ['dns-failed', []]);
    assert.match(result.reply, /localhost has no address/);
    // One that is written down may be known to this machine alone.
    assert.equal((await heard(() => via({ host: 'localhost' }, led))).outcome, 'sent');
  });

  it('waits when the resolver is gone', async () => {
    const gone = await startUnbound([]);
    const dns = gone.dns();
    gone.stop();
    const result = await heard(() => via({}, dns));
    assert.deepEqual([result.outcome, server.lines], ['dns-failed', []]);
  });

  it('accepts an authority that is published, for the right name alone', async () => {
    server.options = { cert: issued.cert, key: issued.key };
    const certificate = createHash('sha256')
      .update(new X509Certificate(readFileSync(issued.ca)).raw)
      .digest('hex');
    for (const record of [
      `2 0 1 ${certificate}`,
      `2 1 1 ${digest(issued.ca)}`,
      `2 1 0 ${spki(issued.ca).toString('hex')}`,
    ]) {
      await partner(tlsa(record));
      assert.equal((await heard(() => via())).outcome, 'sent', record);
    }
    await partner(tlsa(`2 1 1 ${digest(own.cert)}`));
    assert.equal((await heard(() => via())).outcome, 'tls-failed', 'another authority');
    await partner('@ IN MX 5 other', 'other IN A 127.0.0.1', tlsa(`2 1 1 ${digest(issued.ca)}`, 'other'));
    const named = await heard(() => via());
    assert.equal(named.outcome, 'sent', 'the next host is the right one');
    assert.equal(named.over > 0, true);
    await partner('other IN A 127.0.0.1', tlsa(`2 1 1 ${digest(issued.ca)}`, 'other'));
    const alone = await send({ host: 'other.partner.test', port: server.port }, { dns: unbound.dns() });
    assert.equal(alone.outcome, 'tls-failed');
    assert.match(alone.reply, /not for other\.partner\.test/);
    server.options = { cert: own.cert, key: own.key };
  });

  it('does not take a published authority for the issuer because it is named and stands beside', async () => {
    // without the key identifier, the name alone leads to the issuer
    const other = await makeIssuedTls('DNS:mx.partner.test', ['authorityKeyIdentifier=none']);
    const [forged = ''] = other.pem.split(/(?<=-----END CERTIFICATE-----\n)/);
    const cert = `${other.cert}.forged`;
    writeFileSync(cert, forged + readFileSync(issued.ca, 'utf8'));
    await partner(tlsa(`2 1 1 ${digest(issued.ca)}`));
    server.options = { cert, key: other.key };
    const result = await heard(() => via());
    assert.deepEqual([result.outcome, result.over], ['tls-failed', 0]);
    assert.match(result.reply, /no issuer of that name has signed it/);
    server.options = { cert: issued.cert, key: issued.key };
    assert.equal((await heard(() => via())).outcome, 'sent');
    server.options = { cert: own.cert, key: own.key };
    other.remove();
  });

  it('requires TLS, whoever answers, where records are published that cannot be used', async () => {
    await partner(tlsa(`1 1 1 ${digest(issued.cert)}`), tlsa('3 1 1 abcd'));
    assert.equal((await heard(() => via())).outcome, 'sent');
    assert.deepEqual(server.taken, [{ secure: true, client: undefined }]);
    server.options = { ...server.options, startTls: 'hidden' };
    assert.equal((await heard(() => via())).outcome, 'tls-failed');
    server.options = { cert: own.cert, key: own.key };
  });

  it('does not use a connection from before the records were published', async () => {
    await partner();
    let dns = unbound.dns();
    const current: Dns = { lookup: (name, type) => dns.lookup(name, type), close: () => {} };
    const sender = createSender({
      route: { port: server.port, tls: 'opportunistic', connections: 1 },
      ...{ readSecret: () => '', name: 'us.example', dns: current },
    });
    const octets = async function* () {
      yield mail;
    };
    const message = { envelope: { from: 'us@own.example', to: ['x@partner.test'] }, octets };
    server.lines.length = 0;
    const greetings = () => server.lines.filter((line) => line === 'clear EHLO us.example').length;
    for (const _ of [1, 2]) assert.ok('done' in (await sender.send(message)));
    assert.equal(greetings(), 1, 'the connection is kept');
    await partner(tlsa(`3 1 1 ${digest(issued.cert)}`));
    dns = unbound.dns();
    assert.ok('retry' in (await sender.send(message)));
    assert.equal(greetings(), 2);
    sender.close();
  });

  it("leaves another partner's mail alone when one partner's TLS fails", async () => {
    await partner(tlsa(`3 1 1 ${'cd'.repeat(32)}`));
    const { receiver, intake, ports } = await startReceiver({ tls: { cert: own.cert, key: own.key } });
    const [one, other] = await Promise.all([
      via(),
      send(
        { host: '127.0.0.1', port: ports[0] ?? 0, pins: [digest(own.cert)] },
        { dns: unbound.dns() },
        'orders@example.com',
      ),
    ]);
    assert.deepEqual(
      [one.outcome, one.peer, other.outcome, other.peer],
      ['tls-failed', 'down', 'sent', 'works'],
    );
    assert.equal(intake.stored.length, 1);
    await receiver.close(1000);
  });
});
