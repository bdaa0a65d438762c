/** MTA-STS: a record that disappears, policies in each mode, and whoever stands in the place of the policy's host. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { createLookups } from '../../src/smtp/lookups.ts';
import { tlsResults } from '../../src/smtp/metrics.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { SenderParts } from '../../src/smtp/sender.ts';
import { useTestQueue } from '../support/queue.ts';
import { makeIssuedTls, makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { startTlsPeer, type TlsPeer } from '../support/tls-peer.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';

let queue: QueueRoom;
useTestQueue((opened) => {
  ({ queue } = opened);
});

describe('MTA-STS', { skip: skipWithoutUnbound() }, () => {
  let mx: Awaited<ReturnType<typeof makeIssuedTls>>;
  let web: Awaited<ReturnType<typeof makeIssuedTls>>;
  let own: TlsFiles;
  let server: TlsPeer;
  let unbound: Unbound;
  let policyHost: Server;
  let policyPort = 0;
  let answer = { status: 200, type: 'text/plain; charset=utf-8', text: '' };
  let fetched = 0;

  before(async () => {
    mx = await makeIssuedTls('DNS:mx.partner.test');
    web = await makeIssuedTls('DNS:mta-sts.partner.test');
    own = await makeTlsFiles('DNS:mx.partner.test');
    setDefaultCACertificates([...getCACertificates('default'), readFileSync(mx.ca, 'utf8')]);
    server = await startTlsPeer(mx);
    unbound = await startUnbound([{ name: 'partner.test', signed: false, records: [] }]);
    policyHost = createServer({ cert: web.pem, key: readFileSync(web.key) }, (request, response) => {
      fetched += 1;
      assert.equal(request.url, '/.well-known/mta-sts.txt');
      response.writeHead(answer.status, { 'content-type': answer.type, location: '/other' });
      response.end(answer.text);
    }).listen(0, '127.0.0.1');
    await once(policyHost, 'listening');
    const address = policyHost.address();
    policyPort = typeof address === 'object' && address !== null ? address.port : 0;
  });
  after(() => {
    server.stop();
    unbound.stop();
    policyHost.close();
    for (const { remove } of [mx, web, own]) remove();
  });

  const hosts = ['@ IN MX 10 mx', 'mx IN A 127.0.0.1'];
  let ids = 0;
  /** What the domain publishes from now on; without a mode, no record. */
  async function publish(mode?: 'enforce' | 'testing' | 'none', names = ['mx.partner.test']): Promise<void> {
    ids += 1;
    const record = mode === undefined ? [] : [`_mta-sts IN TXT "v=STSv1; id=n${ids};"`];
    await unbound.set({ name: 'partner.test', signed: false, records: [...hosts, ...record] });
    const lines = [
      'version: STSv1',
      `mode: ${mode}`,
      ...names.map((name) => `mx: ${name}`),
      'max_age: 86400',
    ];
    answer = { status: 200, type: 'text/plain; charset=utf-8', text: lines.join('\r\n') };
  }

  /** One message, by a process that has just been started: all that it knows is in Redis. */
  async function send(route: Partial<SenderParts['route']> = {}, connect = {}) {
    const dns = { resolver: '127.0.0.1', port: unbound.port, tls: false };
    const lookup = { ca: readFileSync(web.ca, 'utf8'), allowPrivate: true, port: policyPort, ...connect };
    const lookups = createLookups({ dns }, sealedValues(queue, 'sts'), {
      ...lookup,
      lookup: (_name, { all }, callback) =>
        all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4),
    });
    server.lines.length = 0;
    server.taken.length = 0;
    const sender = createSender({
      route: { port: server.port, tls: 'opportunistic', connections: 1, mtaSts: true, ...route },
      ...{ readSecret: () => '', name: 'us.example', ...lookups },
    });
    const outcome = await sender.send({
      envelope: { from: 'us@own.example', to: ['x@partner.test'] },
      octets: async function* () {
        yield Buffer.from('Subject: test\r\n\r\nbody\r\n');
      },
    });
    sender.close();
    lookups.close();
    const secure = server.taken.map((each) => each.secure);
    if ('done' in outcome) return { outcome: 'sent', secure };
    return {
      outcome: 'retry' in outcome ? outcome.retry : outcome.suspend,
      secure,
      reply: outcome.facts?.reply,
    };
  }

  async function counted(policy: string, result: string): Promise<number> {
    const { values } = await tlsResults.get();
    return values.find(({ labels }) => labels.policy === policy && labels.result === result)?.value ?? 0;
  }

  async function forget(): Promise<void> {
    await queue.redis.del(`${queue.prefix}:sts:partner.test`);
    server.options = mx;
  }

  it('in mode enforce: TLS, a certificate that is trusted for the host, and a host that is named', async () => {
    await publish('enforce');
    const before = await counted('mta-sts', 'ok');
    assert.deepEqual(await send(), { outcome: 'sent', secure: [true] });
    assert.equal(await counted('mta-sts', 'ok'), before + 1);
    server.options = { ...mx, startTls: 'hidden' };
    assert.equal((await send()).outcome, 'tls-failed', 'no STARTTLS');
    server.options = own;
    assert.equal((await send()).outcome, 'tls-failed', 'a certificate of its own');
    server.options = mx;
    await publish('enforce', ['other.partner.test']);
    const named = await send();
    assert.deepEqual([named.outcome, server.lines], ['tls-failed', []]);
    assert.match(String(named.reply), /does not name the host mx\.partner\.test/);
    await publish('enforce', ['*.partner.test']);
    assert.equal((await send()).outcome, 'sent');
    assert.equal((await send({ mtaSts: false })).outcome, 'sent');
  });

  it('holds when its record disappears, over a new start, and is none where it was never seen', async () => {
    await publish('enforce');
    assert.equal((await send()).outcome, 'sent');
    await publish();
    server.options = { ...mx, startTls: 'hidden' };
    assert.deepEqual(await send(), {
      outcome: 'tls-failed',
      secure: [],
      reply: 'TLS is required by the route but mx.partner.test does not offer STARTTLS',
    });
    await forget();
    server.options = { ...mx, startTls: 'hidden' };
    assert.deepEqual(await send(), { outcome: 'sent', secure: [false] });
    server.options = mx;
  });

  it('holds when its host answers something else than a policy', async () => {
    await publish('enforce');
    assert.equal((await send()).outcome, 'sent');
    server.options = { ...mx, startTls: 'hidden' };
    const whole = 'version: STSv1\nmode: none\nmax_age: 1\n';
    for (const bad of [
      { status: 404, type: 'text/plain', text: whole },
      { status: 302, type: 'text/plain', text: whole },
      { status: 200, type: 'text/html', text: whole },
      { status: 200, type: 'text/plain', text: 'mode: none' },
      { status: 200, type: 'text/plain', text: whole + 'x'.repeat(64 * 1024) },
    ]) {
      await publish('none');
      answer = bad;
      const before = fetched;
      assert.equal((await send()).outcome, 'tls-failed', bad.text.slice(0, 40));
      assert.equal(fetched, before + 1, 'asked once, redirects are not followed');
    }
    server.options = mx;
  });

  it('comes from its host alone: another certificate says nothing', async () => {
    await forget();
    await publish('enforce', ['other.partner.test']);
    const before = await counted('mta-sts', 'sts-policy-fetch-error');
    assert.equal((await send({}, { ca: readFileSync(mx.ca, 'utf8') })).outcome, 'sent', 'no policy');
    assert.equal(await counted('mta-sts', 'sts-policy-fetch-error'), before + 1);
    assert.equal((await send()).outcome, 'tls-failed');
    await forget();
    assert.equal(
      (await send({}, { allowPrivate: false })).outcome,
      'sent',
      'private addresses are not asked',
    );
    await forget();
  });

  it('in mode testing changes nothing and is counted; in mode none it is nothing', async () => {
    await forget();
    await publish('testing');
    server.options = { ...mx, startTls: 'hidden' };
    const before = await counted('mta-sts-testing', 'starttls-not-supported');
    assert.deepEqual(await send(), { outcome: 'sent', secure: [false] });
    assert.equal(await counted('mta-sts-testing', 'starttls-not-supported'), before + 1);
    server.options = own;
    assert.deepEqual(await send(), { outcome: 'sent', secure: [true] });
    assert.equal(await counted('mta-sts-testing', 'certificate-not-trusted'), 1);
    await publish('testing', ['other.partner.test']);
    assert.deepEqual(await send(), { outcome: 'sent', secure: [true] });
    assert.equal(await counted('mta-sts-testing', 'validation-failure'), 1);
    await publish('none');
    server.options = { ...mx, startTls: 'hidden' };
    assert.deepEqual(await send(), { outcome: 'sent', secure: [false] });
    await forget();
  });

  it('cannot be lowered by whoever writes into Redis, nor by the policy of another domain', async () => {
    const key = `${queue.prefix}:sts:partner.test`;
    await publish('enforce', ['other.partner.test']);
    const none = { id: 'x', mode: 'none', mx: [], maxAge: 86_400, fetchedAt: Date.now() };
    await sealedValues(queue, 'sts').put('evil.test', none, 60_000);
    const foreign = await queue.redis.getBuffer(`${queue.prefix}:sts:evil.test`);
    assert.ok(foreign);
    // with the id that the domain has now, a stored policy would not be fetched again
    for (const written of [Buffer.from(JSON.stringify({ ...none, id: `n${ids}` })), foreign]) {
      await queue.redis.set(key, written);
      assert.equal((await send()).outcome, 'tls-failed');
    }
    await sealedValues(queue, 'sts').put('partner.test', { ...none, id: `n${ids}` }, 60_000);
    assert.equal((await send()).outcome, 'sent', 'ours would have counted');
    await forget();
  });

  it('does not replace what the operator has written down', async () => {
    await publish('enforce', ['other.partner.test']);
    assert.equal((await send({ tls: 'required', ca: mx.ca })).outcome, 'sent');
    await forget();
  });
});
