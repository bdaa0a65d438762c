/**
 * What belongs to the process of a command: arguments, streams, environment, exit code. The rest is tried in process.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { sealpost } from '../support/daemon.ts';
import { makeWorld, openssl, partnerReads, skipWithout, textEntity } from '../support/world.ts';

describe('the process of a command', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const { own, partner, file } = world;
  const mail = world.mail(textEntity('the order'));
  const locked = file(
    'locked.key',
    openssl(['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout', 'pass:hunter22', '-in', own.keyFile]),
  );

  it('decodes standard input to standard output, with a password of the environment', async () => {
    const { code, stdout, stderr } = await sealpost(
      ['decode', '-', '--key', locked, '--cert', own.certFile, '--out', '-'],
      { input: mail, env: { SEALPOST_PASSWORD: 'hunter22' } },
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), textEntity('the order'));
    assert.match(stderr, /^decoded; encrypted: yes, signature: untrusted/);
  });

  it('exits with 1 if the message could not be decoded, and with 2 for a usage error', async () => {
    const bad = await sealpost(['decode', '-', '--json'], { input: mail });
    assert.deepEqual([bad.code, bad.stderr], [1, '']);
    assert.equal(JSON.parse(bad.stdout.toString()).error.code, 'decrypt-no-key');
    const wrong = await sealpost(['decode', '--at', 'yesterday', '-']);
    assert.deepEqual([wrong.code, wrong.stdout.length], [2, 0]);
    assert.match(wrong.stderr, /^sealpost: .* \[usage\]\nhint: /);
  });

  it('encodes what the partner reads', async () => {
    const sign = ['--sign-key', own.keyFile, '--sign-cert', own.certFile];
    const { code, stdout, stderr } = await sealpost(['encode', '-', '--to', partner.certFile, ...sign], {
      input: 'UNB+UNOA',
    });
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(
      Buffer.from(partnerReads(world, stdout).split('\r\n\r\n')[1] ?? '', 'base64').toString(),
      /UNB/,
    );
  });

  it('says what is wrong with the configuration', async () => {
    const config = file('bad.yaml', 'smpt: {}\n');
    for (const args of [['check'], ['messages', 'list']]) {
      const { code, stdout, stderr } = await sealpost([...args, '--config', config]);
      assert.equal(code, 1, args.join(' '));
      assert.match(stdout + stderr, /bad\.yaml:1:1: error: smpt: /, args.join(' '));
    }
  });

  it('prints help and version, and ends with 2 for no command', async () => {
    const help = await sealpost(['--help']);
    assert.deepEqual([help.code, help.stderr], [0, '']);
    assert.match(help.stdout.toString(), /^Usage: sealpost /);
    const { version } = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8'));
    assert.equal((await sealpost(['--version'])).stdout.toString(), `${version}\n`);
    const none = await sealpost([]);
    assert.deepEqual([none.code, none.stdout.length], [2, 0]);
  });
});
