/** The first section of docs/partners.md: its commands are run as they stand, and print what it says. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { command } from '../support/command.ts';
import { blocksOf, sessionsOf, settled } from '../support/doc-blocks.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

const [block] = blocksOf('docs/partners.md').filter(({ kind }) => kind === 'console');

describe('a first partner', { skip: skipWithout('openssl') }, () => {
  const home = process.cwd();
  let world: World;
  let folder: string;
  before(() => {
    world = makeWorld();
    folder = join(realpathSync(world.folder), 'configuration');
    mkdirSync(folder);
    const { certFile, keyFile } = world.own;
    const identity = `{ name: orders, certificate: ${certFile}, key: ${keyFile} }`;
    writeFileSync(join(folder, 'sealpost.yaml'), `dataDir: data\nidentities: [${identity}]\n`);
    const dates = { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2036-01-01T00:00:00Z') };
    const acme = world.party('edi@acme.example', { ...dates, serial: 0x4f3a91c05d });
    writeFileSync(join(folder, 'acme.pem'), acme.certPem);
    const globex = world.party('edi@globex.example', { ...dates, serial: 0x4f3a91c05e });
    const header = 'From: edi@globex.example\r\nTo: orders@own.example\r\nSubject: hello\r\n';
    const mail = world.mail(textEntity('hello'), { signer: globex, to: false, header });
    writeFileSync(join(folder, 'signed.eml'), mail);
    process.chdir(folder);
  });
  after(() => {
    process.chdir(home);
    world?.remove();
  });

  it('is added, checked and shown as docs/partners.md says', async () => {
    assert.ok(block);
    const sessions = sessionsOf(block);
    assert.equal(sessions.length, 5);
    const alike = (text: string) => settled(text).replaceAll(/\b[0-9a-f]{40}\b/g, 'SHA1');
    for (const { args, printed } of sessions) {
      const { stdout, stderr } = await command([...args, '--config', 'sealpost.yaml']);
      const said = `${stdout}${stderr}`.replaceAll(folder, '/etc/sealpost');
      assert.equal(alike(said), alike(printed), args.join(' '));
    }
    assert.ok(existsSync(join(folder, 'partners/.partner.schema.json')));
  });
});
