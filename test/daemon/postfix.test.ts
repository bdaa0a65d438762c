/** Postfix as smarthost and as the server of partners: DKIM, DANE, MTA-STS, DSN, refused recipients, loops. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { recordName, recordText } from '../../src/dkim/index.ts';
import type { Facts } from '../../src/queue/index.ts';
import { createLookups } from '../../src/smtp/lookups.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { SenderParts } from '../../src/smtp/sender.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { dkimKey, dkimpy, ed25519Key, pemOf, rsaKey, skipWithoutDkimpy } from '../support/dkim.ts';
import { freePort } from '../support/net.ts';
import { type PostfixServer, skipWithoutPostfixServer, startPostfix } from '../support/postfix-server.ts';
import { makeIssuedTls } from '../support/tls.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';
import { makeWorld, partnerReads, skipWithout, type World } from '../support/world.ts';

const skip =
  skipWithoutPostfixServer() || skipWithoutUnbound() || skipWithoutDkimpy() || skipWithout('openssl');

describe('Postfix', { skip }, () => {
  const keys = [dkimKey('own.example', 'r1', rsaKey()), dkimKey('own.example', 'e1', ed25519Key())];
  const records = Object.fromEntries(keys.map((key) => [recordName(key), recordText(key)]));
  let world: World;
  let tls: Awaited<ReturnType<typeof makeIssuedTls>>;
  let postfix: PostfixServer;
  let unbound: Unbound;
  let daemon: TestDaemon;

  before(async () => {
    world = makeWorld();
    tls = await makeIssuedTls('DNS:mx.partner.test,DNS:mx.sts.test,DNS:localhost');
    const own = await freePort();
    postfix = await startPostfix({
      tls,
      mailboxes: [
        ...['edi@customer.test', 'second@customer.test', 'large@customer.test', 'notices@customer.test'],
        ...['edi@partner.test', 'edi@sts.test', 'edi@wrong.test'],
      ],
      passedOn: { 'own.example': own },
      redirected: { 'redirected@customer.test': 'orders@own.example' },
    });
    const pin = (text: Buffer) => createHash('sha256').update(text).digest('hex');
    const key = new X509Certificate(readFileSync(tls.cert)).publicKey;
    const tlsa = pin(key.export({ type: 'spki', format: 'der' }));
    const hosts = ['@ IN MX 10 mx', 'mx IN A 127.0.0.1'];
    const dane = (digest: string) => [...hosts, `_${postfix.port}._tcp.mx IN TLSA 3 1 1 ${digest}`];
    unbound = await startUnbound([
      { name: 'partner.test', signed: true, records: dane(tlsa) },
      { name: 'wrong.test', signed: true, records: dane(pin(Buffer.from('another key'))) },
      { name: 'sts.test', signed: false, records: [...hosts, '_mta-sts IN TXT "v=STSv1; id=n1;"'] },
    ]);
    const smarthost = { host: 'localhost', port: postfix.port, ca: tls.ca };
    const byMx = { port: postfix.port, dane: 'required' };
    const clear = { from: 'orders@own.example', encrypt: false, sign: 'none' };
    daemon = await startDaemon(world, {
      config: {
        smtp: { listen: [{ port: own }], hostname: 'own.example', greetingDelay: '0ms' },
        dns: { resolver: '127.0.0.1', port: unbound.port },
        mailboxes: [
          {
            ...{ name: 'orders', addresses: ['orders@own.example'], notSmime: 'pass' },
            destinations: [{ type: 'directory', path: world.folder }],
          },
        ],
        dkim: keys.map(({ domain, selector, privateKey }) => ({
          ...{ domain, selector, key: world.file(`${selector}.key`, pemOf(privateKey)) },
        })),
        partners: [
          {
            ...{ name: 'customer', addresses: ['@customer.test'], from: 'orders@own.example' },
            ...{ certificates: [world.partner.certFile], identity: 'own', route: smarthost },
          },
          { ...clear, name: 'plain', addresses: ['redirected@customer.test'], route: smarthost },
          { ...clear, name: 'dane', addresses: ['@partner.test'], route: byMx },
          { ...clear, name: 'wrong', addresses: ['@wrong.test'], route: byMx },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await postfix?.stop();
    unbound?.stop();
    tls?.remove();
    world?.remove();
  });

  async function send(to: string[], text = 'an order'): Promise<string> {
    const header = `From: orders@own.example\r\nTo: ${to.join(', ')}\r\nSubject: order\r\n`;
    const mail = world.file('out.eml', `${header}Content-Type: text/plain\r\n\r\n${text}\r\n`);
    const recipients = to.flatMap((each) => ['--to', each]);
    const { code, stdout, stderr } = await daemon.command(['send', '--message', ...recipients, mail]);
    assert.equal(code, 0, stderr);
    return stdout.toString().trim();
  }

  const arrived = async (address: string) =>
    await daemon.waitFor(`mail for ${address}`, () => postfix.mails(address).at(-1));

  it('as a smarthost passes on mail whose signatures hold, and which the partner reads', async () => {
    const id = await send(['edi@customer.test']);
    const { events } = await daemon.reaches(id, 'sent');
    const facts = events.find(({ type }) => type === 'sent')?.facts;
    assert.match(String(facts?.reply), /^250 2\.0\.0 Ok: queued as /);
    assert.deepEqual(facts?.dkim, ['r1._domainkey.own.example', 'e1._domainkey.own.example']);
    const mail = await arrived('edi@customer.test');
    assert.ok(/^Received: from own\.example .*\r\n.*using TLSv1\.3/m.test(mail.toString()));
    assert.deepEqual(dkimpy([mail], records), [[true, true]]);
    assert.match(partnerReads(world, mail), /an order/);
  });

  it('gets a large mail, signed while it lay in the spool, of which nothing is left', async () => {
    const id = await send(['large@customer.test'], 'a line of a large order\r\n'.repeat(120_000));
    await daemon.reaches(id, 'sent');
    const mail = await arrived('large@customer.test');
    assert.ok(mail.length > 3_000_000);
    assert.deepEqual(dkimpy([mail], records), [[true, true]]);
    const left = () =>
      readdirSync(join(daemon.dataDir, 'spool'), { recursive: true, withFileTypes: true }).filter((each) =>
        each.isFile(),
      );
    await daemon.waitFor('an empty spool', () => left().length === 0);
  });

  it('refuses one of several recipients at RCPT: the others have the mail, and the event says so', async () => {
    const id = await send(['second@customer.test', 'nobody@customer.test']);
    const { reason, events } = await daemon.reaches(id, 'suspended');
    assert.equal(reason, 'send-refused');
    const facts: Facts = events.at(-1)?.facts ?? {};
    assert.match(String(facts.reply), /^550 5\.1\.1 <nobody@customer\.test>.*User unknown/);
    assert.deepEqual([facts.reached, facts.refused], [['second@customer.test'], ['nobody@customer.test']]);
    await arrived('second@customer.test');
    const before = postfix.mails('second@customer.test').length;
    // a person tries again: who has it does not get it twice
    await daemon.command(['messages', 'resume', id]);
    await daemon.waitFor('the second refusal', async () => {
      const record = await daemon.queue.ledger.get(id);
      return (
        record?.state === 'suspended' && record.events.filter(({ type }) => type === 'suspended').length > 1
      );
    });
    assert.equal(postfix.mails('second@customer.test').length, before);
  });

  it('at a partner with DANE gets mail only if its key is the one in the signed zone', async () => {
    const [id, other] = [await send(['edi@partner.test']), await send(['edi@wrong.test'])];
    await daemon.reaches(id, 'sent');
    assert.deepEqual(dkimpy([await arrived('edi@partner.test')], records), [[true, true]]);
    const retried = await daemon.waitFor('an attempt', async () =>
      (await daemon.queue.ledger.get(other))?.events.find(({ type }) => type === 'retried'),
    );
    assert.equal(retried.facts.reason, 'tls-failed');
    assert.deepEqual(postfix.mails('edi@wrong.test'), []);
  });

  it('that sends a mail back to us is told why not, and its bounce arrives', async () => {
    const id = await send(['redirected@customer.test']);
    await daemon.reaches(id, 'sent');
    const bounce = await daemon.waitFor('the bounce', async () => {
      const { messages } = await daemon.queue.ledger.list({ mailbox: 'orders' });
      return messages.find(({ envelope }) => envelope.from === '');
    });
    await daemon.reaches(bounce.id, 'delivered');
    assert.match(postfix.log(), /said: 554 5\.4\.6 The message has been here before/);
    const { messages } = await daemon.queue.ledger.list({ mailbox: 'orders' });
    assert.equal(messages.length, 1);
  });

  /** By a sender in this process. */
  async function sendTo(
    to: string,
    parts: Omit<Partial<SenderParts>, 'route'> & { route: Partial<SenderParts['route']> },
    message: object = {},
  ) {
    const sender = createSender({
      ...{ readSecret: () => '', name: 'own.example', ...parts },
      route: { port: postfix.port, tls: 'required', connections: 1, ...parts.route },
    });
    try {
      return await sender.send({
        envelope: { from: 'notices@customer.test', to: [to] },
        octets: async function* () {
          yield Buffer.from('From: notices@customer.test\r\nSubject: x\r\n\r\nbody\r\n');
        },
        ...message,
      });
    } finally {
      sender.close();
    }
  }

  it('takes what DSN asks for, and its notification brings it back', async () => {
    const dsn = {
      ...{ envid: 'order-4711', ret: 'HDRS' as const },
      recipients: { 'edi@customer.test': { notify: ['SUCCESS'], orcpt: 'rfc822;edi@erp.customer.test' } },
    };
    const outcome = await sendTo(
      'edi@customer.test',
      { route: { host: 'localhost', ca: tls.ca } },
      { id: 'o1', envelope: { from: 'notices@customer.test', to: ['edi@customer.test'], dsn } },
    );
    assert.ok('done' in outcome, JSON.stringify(outcome));
    const notice = (await arrived('notices@customer.test')).toString();
    assert.match(notice, /^Original-Envelope-Id: order-4711\r$/m);
    assert.match(notice, /^Original-Recipient: rfc822; ?edi@erp\.customer\.test\r$/m);
    assert.match(notice, /^Action: delivered\r$/m);
  });

  describe('with a policy of MTA-STS at a local host', () => {
    let web: Awaited<ReturnType<typeof makeIssuedTls>>;
    let server: Server;
    let names = ['mx.sts.test'];
    before(async () => {
      web = await makeIssuedTls('DNS:mta-sts.sts.test');
      setDefaultCACertificates([...getCACertificates('default'), readFileSync(tls.ca, 'utf8')]);
      server = createServer({ cert: web.pem, key: readFileSync(web.key) }, (_request, response) => {
        const policy = [
          'version: STSv1',
          'mode: enforce',
          ...names.map((name) => `mx: ${name}`),
          'max_age: 86400',
        ];
        response.writeHead(200, { 'content-type': 'text/plain' }).end(policy.join('\r\n'));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
    });
    after(() => {
      server.close();
      web.remove();
    });

    async function byPolicy() {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const dns = { resolver: '127.0.0.1', port: unbound.port, tls: false };
      const kept = { get: async () => undefined, put: async () => {} };
      const lookups = createLookups({ dns }, kept, {
        ...{ ca: readFileSync(web.ca, 'utf8'), allowPrivate: true, port },
        lookup: (_name, { all }, callback) =>
          all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4),
      });
      const route = { tls: 'opportunistic', mtaSts: true } as const;
      const outcome = await sendTo('edi@sts.test', { route, ...lookups });
      lookups.close();
      return outcome;
    }

    it('gets mail if the policy names it, over TLS with a certificate for its name, and none otherwise', async () => {
      assert.ok('done' in (await byPolicy()));
      assert.match((await arrived('edi@sts.test')).toString(), /using TLSv1\.3/);
      names = ['other.sts.test'];
      const refused = await byPolicy();
      assert.ok('retry' in refused && refused.retry === 'tls-failed', JSON.stringify(refused));
      assert.equal(postfix.mails('edi@sts.test').length, 1);
    });
  });
});
