import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { command } from '../support/command.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('certs lookup', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let configFile: string;
  let folder: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    folder = join(server.dataDir, 'directory');
    mkdirSync(folder);
    const put = (name: string, email: string) => {
      const { certificate } = world.party(email, { key: 'p256' });
      writeFileSync(join(folder, name), certificate.toPem());
      return certificate;
    };
    put('new.pem', 'orders@partner.example');
    put('other.pem', 'somebody@partner.example');
    const configured = join(server.dataDir, 'configured.pem');
    writeFileSync(configured, put('configured.pem', 'orders@partner.example').toPem());
    writeFileSync(join(folder, 'broken.cer'), 'no certificate');
    writeFileSync(join(folder, 'readme.txt'), 'no certificate either');
    const partner = {
      identity: 'own',
      certificates: [world.partner.certFile, configured],
      route: { host: '127.0.0.1' },
    };
    configFile = world.file(
      'sealpost.yaml',
      stringify({
        dataDir: server.dataDir,
        redis: { url: server.url },
        identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
        lookup: {
          directories: [
            { name: 'files', kind: 'folder', path: folder },
            { name: 'gone', kind: 'folder', path: join(folder, 'gone') },
          ],
        },
        partners: [
          {
            name: 'acme',
            addresses: ['orders@partner.example', '@partner.example'],
            lookup: ['files'],
            ...partner,
          },
          { name: 'globex', addresses: ['a@globex.example'], lookup: ['gone', 'files'], ...partner },
          { name: 'initech', addresses: ['a@initech.example'], ...partner },
        ],
      }),
    );
  });
  after(async () => {
    await server?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const ran = await command(['certs', ...args, '--config', configFile]);
    return { ...ran, stdout: ran.stdout.toString(), stderr: ran.stderr.toString() };
  };
  const waiting = async () => JSON.parse((await run('list', '--state', 'waiting', '--json')).stdout);

  it('what is found waits for approval, once, and the rest is said', async () => {
    const first = await run('lookup', 'acme');
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /orders@partner\.example {2}files .*: waits for approval/);
    assert.match(first.stdout, /orders@partner\.example {2}files .*: is known already/);
    assert.match(first.stdout, /not used: .*broken\.cer/);
    assert.doesNotMatch(first.stdout, /readme/);
    const [only, ...more] = await waiting();
    assert.deepEqual([only.partner, only.source, only.state, more.length], ['acme', 'folder', 'waiting', 0]);
    assert.ok(only.findings.includes('found in directory files'), only.findings.join());
    const again = await run('lookup', 'ACME', '--json');
    const { found, at } = JSON.parse(again.stdout);
    const atOf = async (...more: string[]) =>
      JSON.parse((await run('lookup', 'acme', '--json', ...more)).stdout).at;
    assert.equal(await atOf(), at, 'it is remembered');
    assert.ok((await atOf('--fresh')) > at, 'it is asked anew');
    assert.deepEqual(
      found.map(({ became }: { became: string }) => became),
      ['known', 'known'],
    );
    assert.equal((await waiting()).length, 1);
  });

  it('an address of the partner is looked up, and nobody else is', async () => {
    const { found } = JSON.parse((await run('lookup', 'somebody@partner.example', '--json')).stdout);
    assert.deepEqual([found.length, found[0].address], [1, 'somebody@partner.example']);
    for (const [name, code] of [
      ['stranger@elsewhere.example', /partner-unknown/],
      ['nobody', /partner-unknown/],
      ['initech', /names no directory/],
    ] as const) {
      const refused = await run('lookup', name);
      assert.deepEqual([refused.code === 0, code.test(refused.stderr)], [false, true], refused.stderr);
    }
  });

  it('a directory that fails is said, and the others are asked', async () => {
    const { code, stdout, stderr } = await run('lookup', 'globex');
    assert.equal(code, 1);
    assert.match(stderr, /gone: folder \S+gone: there is no such folder \[lookup-failed\]/);
    assert.match(stdout, /no certificate was found/);
    assert.match(stdout, /not used: .*broken\.cer/);
  });
});
