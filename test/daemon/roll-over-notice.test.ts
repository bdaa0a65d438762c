/** Partners are told of our next certificate before it signs: once, by mail that the present one has signed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { loadKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ownChangesAt } from '../../src/partner/index.ts';
import { filledNotice, noticeTemplate } from '../../src/pipeline/own-mail.ts';
import { bootDaemon, type TestDaemon, writeConfig } from '../support/daemon.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { makeWorld, type Party, skipWithout, type World } from '../support/world.ts';

const day = 86_400_000;

describe('the notice of our next certificate', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: KeepingServer;
  let next: Party;
  let folder: string;
  let configFile: string;
  let daemon: TestDaemon | undefined;
  const begins = new Date(Date.now() + 20 * day).toISOString().slice(0, 10);

  before(async () => {
    world = makeWorld();
    server = await startKeepingServer();
    next = world.party('next@own.example');
    const second = world.party('second@own.example');
    const partner = (name: string, more: object) => ({
      ...{ name, addresses: [`edi@${name}.example`, `it@${name}.example`], from: 'orders@own.example' },
      ...{
        identity: 'own',
        encrypt: false,
        sign: 'detached',
        route: { host: '127.0.0.1', port: server.port, tls: 'none' },
      },
      ...more,
    });
    const written = writeConfig(world, {
      identities: [
        { name: 'own', certificate: world.own.certFile, key: world.own.keyFile, until: begins },
        { name: 'own', certificate: next.certFile, key: next.keyFile, from: begins },
        { name: 'second', certificate: second.certFile, key: second.keyFile },
      ],
      partners: [
        partner('acme', { noticesTo: ['it@acme.example'] }),
        partner('other', {}),
        partner('beside', { identity: 'second', coSigners: ['own'], noticesTo: ['it@beside.example'] }),
        partner('second', { identity: 'second', noticesTo: ['it@second.example'] }),
      ],
      expiry: {
        notice: {
          template: world.file(
            'notice.txt',
            'Subject: {identity} changes\n\nFrom {from}: {sha256} {unknown}\n',
          ),
        },
      },
    });
    folder = written.folder;
    configFile = written.configFile;
  });
  after(async () => {
    await daemon?.stop();
    await server?.close();
    world?.remove();
  });

  it('goes to the partners that want it, signed, with the certificate', async () => {
    daemon = await bootDaemon(folder, configFile);
    const kept = await daemon.waitFor('the mails', () => (server.kept.length > 1 ? server.kept : undefined));
    const to = kept.flatMap((each) => each.to).sort();
    assert.deepEqual(to, ['it@acme.example', 'it@beside.example'], 'also where it signs beside another one');
    const mail = kept.find((each) => each.to.includes('it@acme.example'));
    assert.ok(mail);
    const args = [
      'cms',
      '-verify',
      '-CAfile',
      world.anchorFile,
      '-crlfeol',
      '-signer',
      join(world.folder, 'signer.pem'),
    ];
    const { status, stdout, stderr } = spawnSync('openssl', args, { input: mail.octets });
    assert.equal(status, 0, stderr.toString());
    const signer = new X509Certificate(readFileSync(join(world.folder, 'signer.pem')));
    assert.equal(signer.fingerprint256, new X509Certificate(world.own.certPem).fingerprint256);
    const read = await simpleParser(stdout);
    const expected = new X509Certificate(next.certPem);
    const [attachment] = read.attachments;
    assert.ok(attachment);
    assert.ok(attachment.content.equals(expected.raw));
    assert.equal(attachment.contentType, 'application/pkix-cert');
    const sha256 = expected.fingerprint256.replaceAll(':', '').toLowerCase();
    assert.equal(read.text?.trim(), `From ${begins}: ${sha256} {unknown}`);
    const whole = await simpleParser(mail.octets);
    assert.equal(whole.subject, 'own changes');
    assert.equal(whole.headers.get('auto-submitted'), 'auto-generated');
  });

  it('is sent once, however often the daemon starts', async () => {
    await daemon?.stop();
    daemon = await bootDaemon(folder, configFile);
    const name = `${daemon.queue.prefix}:lease:notices`;
    await daemon.waitFor('it has looked', async () => (await daemon?.queue.redis.exists(name)) === 1);
    const { messages } = await daemon.queue.ledger.list({ direction: 'outbound' });
    assert.deepEqual([server.kept.length, messages.length], [2, 2]);
  });

  it('is due from so many days before on, and for a certificate that signs', async () => {
    const config = loadConfig(configFile);
    const { identities } = await loadKeys(config);
    const from = Date.parse(begins);
    const due = (at: number, days: number, of = identities) => ownChangesAt(of, new Date(at), days).length;
    assert.deepEqual([due(from - 30 * day - 1, 30), due(from - 30 * day, 30), due(from - 1, 30)], [0, 1, 1]);
    assert.equal(due(from, 30), 0, 'it signs');
    assert.equal(
      due(
        from - day,
        30,
        identities.map((each) => ({ ...each, use: ['decrypt'] as const })),
      ),
      0,
    );
    assert.equal(due(from - day, 30, identities.slice(1)), 0, 'nothing signs before');
  });

  it('has a text that says all of it, and leaves alone what it does not know', () => {
    const facts = {
      subject: 'S',
      serial: '1',
      sha1: 'a',
      sha256: 'b',
      from: '2027-01-01',
      until: '2029-01-01',
    };
    const { subject, body } = filledNotice(noticeTemplate, facts);
    assert.equal(subject, 'Our next certificate, from 2027-01-01 on');
    assert.equal(/[{}]/.test(body), false);
    assert.deepEqual(filledNotice('no subject {constructor}', facts), {
      subject: 'Our next certificate',
      body: 'no subject {constructor}',
    });
  });
});
