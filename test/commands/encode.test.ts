import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { command } from '../support/command.ts';
import { makeWorld, openssl, skipWithout } from '../support/world.ts';

const text = 'the order of today';
const mail = `From: orders@own.example\r\nTo: edi@partner.example\r\nSubject: order\r\nContent-Type: text/plain\r\n\r\n${text}\r\n`;
const legacy = ['-provider', 'legacy', '-provider', 'default'];

describe('sealpost encode', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const { own, partner, anchorFile, file } = world;
  const third = world.party('third@partner.example', { freshKey: true });
  const mailFile = file('mail.eml', mail);
  const sign = ['--sign-key', own.keyFile, '--sign-cert', own.certFile];

  const decrypt = (octets: Buffer, by = partner) =>
    openssl(['cms', '-decrypt', ...legacy, '-recip', by.certFile, '-inkey', by.keyFile], octets);
  const verify = (octets: Buffer) => openssl(['cms', '-verify', '-CAfile', anchorFile], octets).toString();
  async function encoded(args: string[], options: Parameters<typeof command>[1] = {}): Promise<Buffer> {
    const { code, stdout, stderr } = await command(['encode', ...args], options);
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  }

  it('signs and encrypts so that openssl reads it, and keeps the header of the mail', async () => {
    const octets = await encoded([mailFile, '--to', partner.certFile, ...sign]);
    const header = octets.subarray(0, octets.indexOf('\r\n\r\n')).toString();
    for (const field of ['From: orders@own.example', 'To: edi@partner.example', 'Subject: order'])
      assert.ok(header.split('\r\n').includes(field), `${field} is missing`);
    assert.match(header, /^Content-Type: application\/pkcs7-mime;\s*smime-type=enveloped-data/m);
    assert.match(verify(decrypt(octets)), new RegExp(text));
  });

  it('signs without encrypting, in both forms', async () => {
    const opaque = await encoded([mailFile, ...sign]);
    assert.match(opaque.toString(), /smime-type=signed-data/);
    assert.match(verify(opaque), new RegExp(text));
    const detached = await encoded([mailFile, ...sign, '--sign-form', 'detached']);
    assert.match(detached.toString(), /^Content-Type: multipart\/signed/m);
    assert.match(detached.toString(), new RegExp(text), 'a detached signature leaves the text readable');
    assert.match(verify(detached), new RegExp(text));
  });

  it('encrypts for several recipients', async () => {
    const octets = await encoded([mailFile, '--to', partner.certFile, '--to', third.certFile]);
    for (const by of [partner, third]) assert.match(decrypt(octets, by).toString(), new RegExp(text));
    assert.throws(() => decrypt(octets, own));
  });

  it('reads standard input, and a PEM with key and certificate', async () => {
    const both = file('both.pem', own.keyPem + own.certPem);
    assert.match(
      verify(await encoded(['-', '--message', '--sign-key', both], { input: mail })),
      new RegExp(text),
    );
  });

  it('takes the password of the key from a file or the environment', async () => {
    const locked = file(
      'locked.key',
      openssl(['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout', 'pass:hunter22', '-in', own.keyFile]),
    );
    const args = [mailFile, '--sign-key', locked, '--sign-cert', own.certFile];
    const password = file('password', 'hunter22\n');
    verify(await encoded([...args, '--password-file', password]));
    verify(await encoded(args, { env: { SEALPOST_PASSWORD: 'hunter22' } }));
    const { code, stderr, stdout } = await command(['encode', ...args]);
    assert.deepEqual([code, stdout.length], [1, 0]);
    assert.match(stderr, /^sealpost: .*locked\.key: .*password.* \[password\]\n/);
  });

  for (const [cipher, shown] of [
    ['aes-128-cbc', 'aes-128-cbc'],
    ['aes-192-cbc', 'aes-192-cbc'],
    ['des-ede3-cbc', 'des-ede3-cbc'],
  ] as const) {
    it(`encrypts with ${cipher}, which openssl names as well`, async () => {
      const octets = await encoded([mailFile, '--to', partner.certFile, '--content-encryption', cipher]);
      const printed = openssl(['cms', '-cmsout', '-print', '-noout'], octets).toString();
      assert.match(printed, new RegExp(`algorithm: ${shown}`));
      assert.match(decrypt(octets).toString(), new RegExp(text));
    });
  }

  for (const transport of ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512']) {
    it(`wraps the key with ${transport}`, async () => {
      const octets = await encoded([mailFile, '--to', partner.certFile, '--key-transport', transport]);
      assert.match(decrypt(octets).toString(), new RegExp(text));
    });
  }

  it('signs with PSS and SHA-512', async () => {
    const octets = await encoded([mailFile, ...sign, '--scheme', 'pss', '--digest', 'sha512']);
    assert.match(openssl(['cms', '-cmsout', '-print', '-noout'], octets).toString(), /rsassaPss/);
    verify(octets);
  });

  for (const weak of [
    ['--to', partner.certFile, '--content-encryption', 'des-cbc'],
    ['--to', partner.certFile, '--content-encryption', 'rc2-128-cbc'],
    ['--to', partner.certFile, '--content-encryption', 'rc2-40-cbc'],
    [...sign, '--digest', 'sha1'],
  ]) {
    it(`wants --allow-weak for ${weak.at(-1)}`, async () => {
      const { code, stdout, stderr } = await command(['encode', mailFile, ...weak]);
      assert.deepEqual([code, stdout.length], [1, 0]);
      assert.match(stderr, /^sealpost: .* \[encode-policy\]\n(hint: .*\n)?$/);
      assert.match(stderr, /--allow-weak/);
      const octets = await encoded([mailFile, ...weak, '--allow-weak']);
      const plain = weak.includes('--to') ? decrypt(octets).toString() : verify(octets);
      assert.match(plain, new RegExp(text));
    });
  }

  describe('--out', () => {
    const folder = join(world.folder, 'out');
    mkdirSync(folder);
    const out = join(folder, 'mail');

    it('writes the mail', async () => {
      assert.equal((await encoded([mailFile, '--to', partner.certFile, '--out', out])).length, 0);
      assert.match(decrypt(readFileSync(out)).toString(), new RegExp(text));
    });

    it('leaves an old file as it was, and nothing else, on a failure', async () => {
      writeFileSync(out, 'old');
      for (const bad of [
        ['/nonexistent.eml', '--to', partner.certFile],
        [mailFile, '--to', partner.certFile, '--content-encryption', 'des-cbc'],
        [file('empty.eml', ''), '--to', partner.certFile],
      ]) {
        const { code, stderr } = await command(['encode', ...bad, '--out', out]);
        assert.equal(code, 1);
        assert.match(stderr, /^sealpost: .* \[(file-access|encode-policy|message-empty)\]\n/);
      }
      assert.equal(readFileSync(out, 'utf8'), 'old');
      assert.deepEqual(readdirSync(folder), ['mail']);
    });
  });

  it('refuses a certificate that cannot be encrypted for', async () => {
    const ed25519 = world.party('ed25519@partner.example', {
      key: 'ed25519',
      keyUsage: ['digitalSignature'],
    });
    const { code, stderr } = await command(['encode', mailFile, '--to', ed25519.certFile]);
    assert.equal(code, 1);
    assert.match(stderr, /\[encode-recipient\]/);
  });

  for (const [name, args, wanted] of [
    [
      'nothing to do',
      [mailFile],
      /nothing to do: give --to to encrypt, --sign-key to sign, or both \[usage\]/,
    ],
    ['--sign-cert alone', [mailFile, '--sign-cert', own.certFile], /--sign-cert needs --sign-key \[usage\]/],
    ['no file', ['--to', partner.certFile], /missing required argument 'file'/],
    [
      'an unknown form',
      [mailFile, ...sign, '--sign-form', 'upside-down'],
      /Allowed choices are opaque, detached/,
    ],
    ['an unknown cipher', [mailFile, '--to', partner.certFile, '--content-encryption', 'rot13'], /rot13/],
  ] as const) {
    it(`ends with 2 for ${name}`, async () => {
      const { code, stderr, stdout } = await command([
        'encode',
        ...args,
        '--out',
        join(world.folder, 'never'),
      ]);
      assert.deepEqual([code, stdout.length], [2, 0], stderr);
      assert.match(stderr, /^sealpost: /);
      assert.match(stderr, wanted);
      assert.equal(existsSync(join(world.folder, 'never')), false);
    });
  }
});
