import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { command } from '../support/command.ts';
import { type OpensslCertificate, opensslIssue, opensslList } from '../support/openssl-ca.ts';
import type { Ran } from '../support/peers/run.ts';
import { startWeb, type Web } from '../support/web.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('sealpost decode --config, with authorities to ask', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  const { own, file } = world;
  const entity = textEntity('the content');
  let web: Web;
  let root: OpensslCertificate;
  let middle: OpensslCertificate;
  before(async () => {
    web = await startWeb();
    root = opensslIssue(world.folder, 'Root');
    middle = opensslIssue(world.folder, 'Middle', { issuer: root, crl: web.url('/root.crl') });
    web.answers.set('/middle.cer', middle.certificate.der);
    web.answers.set('/root.crl', () => opensslList(world.folder, root));
  });
  after(() => {
    web?.close();
    world.remove();
  });

  async function verdictOf(args: string[]): Promise<Ran & { verdict: Verdict }> {
    const ran = await command(['decode', '--json', ...args]);
    return { ...ran, verdict: verdictSchema.parse(JSON.parse(ran.stdout.toString())) };
  }

  function configOf(settings: Record<string, unknown> = {}): string {
    const asks = { hosts: [web.host], allowPrivate: true };
    return file(
      'authorities.yaml',
      stringify({
        dataDir: join(world.folder, 'data'),
        identities: [{ name: 'own', certificate: own.certFile, key: own.keyFile }],
        trust: {
          anchors: [root.certFile],
          revocation: { mode: 'hard', ...asks },
          aia: { fetch: true, ...asks },
        },
        ...settings,
      }),
    );
  }

  it('asks those whom the configuration allows, and nobody with --offline', async () => {
    const signer = opensslIssue(world.folder, 'Signer', {
      issuer: middle,
      email: 'edi@partner.example',
      access: [`caIssuers;URI:${web.url('/middle.cer')}`],
      crl: web.url('/middle.crl'),
    });
    web.answers.set('/middle.crl', () => opensslList(world.folder, middle));
    const asked = file('asked.eml', world.mail(entity, { signer }));
    const args = [asked, '--config', configOf()];
    const { code, verdict, stderr } = await verdictOf(args);
    assert.deepEqual([code, stderr, verdict.signature], [0, '', 'valid']);
    const words = (await command(['decode', ...args])).stdout.toString();
    assert.match(words, /CN=Signer: valid, trusted\n +revocation: good \(crl, \d+ seconds old\)\n/);

    const before = web.asked.length;
    const offline = (await command(['decode', ...args, '--offline'])).stdout.toString();
    assert.equal(web.asked.length, before);
    assert.match(
      offline,
      /NOT TRUSTED \(no-path: .*its issuer is "CN=Middle"; AIA address http.*middle\.cer not used/,
    );

    web.answers.set('/middle.crl', () => opensslList(world.folder, middle, [signer]));
    const revoked = await verdictOf(args);
    assert.deepEqual([revoked.code, revoked.verdict.signature], [0, 'untrusted']);
    assert.match(JSON.stringify(revoked.verdict.layers), /"reason":"revoked"/);
  });

  it('keeps to the limits of the configuration', async () => {
    const deep = file('limits.eml', world.mail(entity, { to: own }));
    const args = ['--config', configOf({ limits: { layers: 1 } }), '--offline'];
    const { code, verdict } = await verdictOf([deep, ...args]);
    assert.equal(code, 1);
    assert.match(JSON.stringify(verdict.error), /layer-limit/);
  });
});
