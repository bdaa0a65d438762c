import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { presetNames } from '../../src/smime/index.ts';
import { command } from '../support/command.ts';
import { makeWorld, openssl, skipWithout } from '../support/world.ts';

const mail =
  'From: orders@own.example\r\nTo: edi@partner.example\r\nSubject: order.txt\r\nContent-Type: text/plain\r\n\r\nthe order\r\n';

describe('sealpost encode --preset', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const { own, partner, anchorFile, file } = world;
  const mailFile = file('mail.eml', mail);
  const both = ['--to', partner.certFile, '--sign-key', own.keyFile, '--sign-cert', own.certFile];
  const encode = (...args: string[]) => command(['encode', mailFile, ...both, ...args]);
  const decrypt = (octets: Buffer) =>
    openssl(['cms', '-decrypt', '-recip', partner.certFile, '-inkey', partner.keyFile], octets);
  const verify = (octets: Buffer) => openssl(['cms', '-verify', '-CAfile', anchorFile], octets).toString();

  it('knows every preset, and refuses others', async () => {
    const { code, stderr } = await encode('--preset', 'nobody');
    assert.equal(code, 2);
    for (const name of presetNames) assert.ok(stderr.includes(name), name);
  });

  it('does what the preset says', async () => {
    const { stdout } = await encode('--preset', 'edi-energy');
    assert.match(
      openssl(['cms', '-cmsout', '-print', '-noout'], stdout).toString(),
      /rsaesOaep[\s\S]*aes-256-cbc/,
    );
    assert.match(verify(decrypt(stdout)), /^Content-Disposition: attachment; filename="order\.txt"/m);
  });

  it('lets single options win', async () => {
    const { stdout } = await encode('--preset', 'bsi-tr-03116-4', '--content-encryption', 'aes-128-cbc');
    assert.equal(stdout.length, 0, 'the keys of this test are too short for it');
    const direct = await encode('--preset', 'direct', '--sign-form', 'opaque', '--key-transport', 'pkcs1');
    assert.match(decrypt(direct.stdout).toString(), /smime-type=signed-data/);
    assert.match(openssl(['cms', '-cmsout', '-print', '-noout'], direct.stdout).toString(), /aes-128-cbc/);
  });

  it('says what is weak and which key is too short', async () => {
    const weak = await encode('--preset', 'biztalk');
    assert.deepEqual(
      [weak.code, /sha1 is weak.*\[encode-policy\]/.test(weak.stderr)],
      [1, true],
      weak.stderr,
    );
    assert.equal((await encode('--preset', 'biztalk', '--allow-weak')).code, 0);
    const short = await encode('--preset', 'bsi-tr-03116-4');
    assert.match(short.stderr, /2048 bits; at least 3072 are required \[encode-signer\]\nhint: /);
  });

  it('wraps, protects the header and leaves certificates out', async () => {
    const { stdout } = await encode('--triple-wrap', '--header-protection', '--no-signing-certificate');
    assert.match(stdout.toString(), /^Subject: \[\.\.\.\]\r$/m);
    const certificate = ['-certfile', own.certFile];
    const open = (octets: Buffer) =>
      openssl(['cms', '-verify', '-binary', '-CAfile', anchorFile, ...certificate], octets);
    assert.throws(() => verify(stdout));
    assert.match(open(decrypt(open(stdout))).toString(), /^Subject: order\.txt\r\n[\s\S]*the order/m);
  });
});
