import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { fromJSONSchema } from 'zod';
import { command } from '../support/command.ts';
import { crlf, makeWorld, openssl, skipWithout, textEntity } from '../support/world.ts';

const text = 'the content of the order';
const schemaFile = resolve(import.meta.dirname, '../../docs/verdict.schema.json');

describe('sealpost decode', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const { own, partner, anchorFile, file } = world;
  const keyArgs = ['--key', own.keyFile, '--cert', own.certFile];
  const entity = textEntity(text);
  const mailFile = file('mail.eml', world.mail(entity));
  const der = openssl(['cms', '-encrypt', '-outform', 'DER', own.certFile], entity);
  const schema = fromJSONSchema(JSON.parse(readFileSync(schemaFile, 'utf8')));

  /** Runs with --json and holds the verdict against the schema in the docs. */
  async function verdictOf(args: string[], options: Parameters<typeof command>[1] = {}) {
    const ran = await command(['decode', '--json', ...args], options);
    const verdict: unknown = JSON.parse(ran.stdout.toString());
    assert.ok(schema.safeParse(verdict).success, 'the verdict is not what docs/verdict.schema.json says');
    assert.ok(typeof verdict === 'object' && verdict !== null);
    return { ...ran, verdict: new Map<string, unknown>(Object.entries(verdict)) };
  }

  it('decodes a mail and judges its signer', async () => {
    const { code, verdict, stderr } = await verdictOf([mailFile, ...keyArgs, '--trust', anchorFile]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(verdict.get('status'), 'ok');
    assert.equal(verdict.get('encrypted'), true);
    assert.equal(verdict.get('signature'), 'valid');
    assert.equal(verdict.get('integrity'), 'signed');
    assert.equal(verdict.get('error'), null);
  });

  it('finds a signer without --trust untrusted, and still ends with 0', async () => {
    const { code, verdict } = await verdictOf([mailFile, ...keyArgs]);
    assert.deepEqual([code, verdict.get('signature')], [0, 'untrusted']);
  });

  it('judges certificates at the time of --at', async () => {
    const { code, verdict } = await verdictOf([
      ...[mailFile, ...keyArgs, '--trust', anchorFile],
      ...['--at', '2045-01-01T00:00:00Z'],
    ]);
    assert.deepEqual([code, verdict.get('signature')], [0, 'untrusted']);
    assert.match(JSON.stringify(verdict.get('layers')), /expired/);
  });

  it('writes the pieces of a mail from a mailing list into a folder', async () => {
    const one = world.mail(entity, { header: '' });
    const other = world.mail(entity, { header: '', to: false });
    const list = file('list.eml', world.listed([one, other]));
    const folder = join(world.folder, 'pieces');
    const { code, stdout } = await command([
      ...['decode', list, ...keyArgs, '--trust', anchorFile, '--pieces', folder],
    ]);
    assert.equal(code, 0);
    assert.match(stdout.toString(), /^decoded; encrypted: no, signature: none/);
    assert.match(stdout.toString(), /^piece 1 \(\S+\): encrypted: yes, signature: valid$/m);
    assert.match(stdout.toString(), /^piece 2 \(\S+\): encrypted: no, signature: valid$/m);
    assert.deepEqual(readdirSync(folder).sort(), ['1.eml', '2.eml']);
    for (const name of readdirSync(folder))
      assert.equal(readFileSync(join(folder, name), 'utf8').trimEnd(), entity.trimEnd());
    const without = await command(['decode', list, '--pieces', join(world.folder, 'none')]);
    assert.match(without.stdout.toString(), /^piece 1 .* could not be decoded: .* \[decrypt-no-key\]$/m);
    assert.deepEqual(readdirSync(join(world.folder, 'none')), ['2.eml']);
  });

  it('checks a detached signature that comes alone against --content', async () => {
    const content = file('order.edi', "UNB+UNOA:1'\n");
    const signer = ['-signer', partner.certFile, '-inkey', partner.keyFile];
    const p7s = file(
      'order.p7s',
      openssl(['cms', '-sign', '-binary', '-outform', 'DER', '-in', content, ...signer]),
    );
    const out = join(world.folder, 'order.out');
    const { code, verdict } = await verdictOf([
      ...[p7s, '--content', content, '--trust', anchorFile, '--out', out],
    ]);
    assert.deepEqual([code, verdict.get('signature')], [0, 'valid']);
    assert.deepEqual(readFileSync(out), readFileSync(content));
    const alone = await verdictOf([p7s, '--trust', anchorFile]);
    assert.equal(alone.code, 1);
    const missing = await command(['decode', p7s, '--content', join(world.folder, 'missing')]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /cannot read .*missing: there is no such file \[file-access\]/);
  });

  it('says in words what it found', async () => {
    const { code, stdout } = await command(['decode', mailFile, ...keyArgs, '--trust', anchorFile]);
    assert.equal(code, 0);
    assert.match(stdout.toString(), /^decoded; encrypted: yes, signature: valid, integrity: signed\n/);
    assert.match(stdout.toString(), /enveloped-data: aes-256-cbc/);
    assert.match(stdout.toString(), /edi@partner\.example: valid, trusted/);
  });

  for (const [name, octets] of [
    ['DER', der],
    ['PEM', openssl(['cms', '-encrypt', '-outform', 'PEM', own.certFile], entity)],
    [
      'the bare PEM of a PKCS #7 object',
      openssl(['smime', '-encrypt', '-outform', 'PEM', own.certFile], entity),
    ],
  ] as const) {
    it(`decodes a CMS object in ${name}`, async () => {
      const input = file('object', octets);
      const { code, stdout } = await command(['decode', input, ...keyArgs, '--out', '-']);
      assert.equal(code, 0);
      // openssl made the lines canonical
      assert.equal(stdout.toString(), crlf(Buffer.from(entity)).toString());
    });
  }

  it('reads standard input for -', async () => {
    const { code, stdout, stderr } = await command(['decode', '-', ...keyArgs, '--out', '-'], {
      input: readFileSync(mailFile),
    });
    assert.equal(code, 0);
    assert.match(stdout.toString(), new RegExp(text));
    assert.match(stderr, /^decoded; encrypted: yes/, 'the words go to standard error');
  });

  describe('keys', () => {
    const encryptedKey = file(
      'encrypted.key',
      openssl(['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout', 'pass:hunter22', '-in', own.keyFile]),
    );
    const p12 = join(world.folder, 'own.p12');
    openssl([
      ...['pkcs12', '-export', '-inkey', own.keyFile, '-in', own.certFile],
      ...['-passout', 'pass:hunter22', '-out', p12],
    ]);
    const passwordFile = file('password', 'hunter22\n');
    const both = file('both.pem', own.keyPem + own.certPem);
    const derKey = file('own.key.der', openssl(['pkey', '-in', own.keyFile, '-outform', 'DER']));
    const derCert = file('own.der', openssl(['x509', '-in', own.certFile, '-outform', 'DER']));
    const password = { env: { SEALPOST_PASSWORD: 'hunter22' } };

    for (const [name, args, options] of [
      ['one PEM with key and certificate for --key', ['--key', both], {}],
      ['one PEM with key and certificate for --cert', ['--cert', both], {}],
      ['key and certificate in DER', ['--key', derKey, '--cert', derCert], {}],
      ['the right one of several', ['--key', partner.keyFile, '--cert', partner.certFile, ...keyArgs], {}],
      [
        'an encrypted key with --password-file',
        ['--key', encryptedKey, '--cert', own.certFile, '--password-file', passwordFile],
        {},
      ],
      ['an encrypted key with SEALPOST_PASSWORD', ['--key', encryptedKey, '--cert', own.certFile], password],
      ['PKCS #12 with --password-file', ['--p12', p12, '--password-file', passwordFile], {}],
      ['PKCS #12 with SEALPOST_PASSWORD', ['--p12', p12], password],
    ] as const) {
      it(`takes ${name}`, async () => {
        const { code, verdict, stderr } = await verdictOf([mailFile, ...args], options);
        assert.deepEqual([code, verdict.get('status')], [0, 'ok'], stderr);
      });
    }

    for (const [name, args, wanted] of [
      [
        'a wrong password',
        ['--p12', p12, '--password-file', own.certFile],
        /own\.p12: .*password.* \[password\]/,
      ],
      ['no password', ['--key', encryptedKey, '--cert', own.certFile], /encrypted\.key: .* \[password\]/],
      [
        'a key without its certificate',
        ['--key', own.keyFile],
        /no certificate given belongs to this key \[key-mismatch\]\nhint: .*--cert/,
      ],
      [
        'the certificate of another key',
        ['--key', own.keyFile, '--cert', partner.certFile],
        /\[key-mismatch\]/,
      ],
      ['a key that is none', ['--key', anchorFile, '--cert', own.certFile], /root\.pem: .*\[key-malformed\]/],
      [
        'a key file that is not there',
        ['--key', '/nonexistent', '--cert', own.certFile],
        /cannot read \/nonexistent: there is no such file \[file-access\]/,
      ],
    ] as const) {
      it(`refuses ${name}`, async () => {
        const { code, stderr, stdout } = await command(['decode', mailFile, ...args]);
        assert.equal(code, 1);
        assert.match(stderr, /^sealpost: /);
        assert.match(stderr, wanted);
        assert.doesNotMatch(stderr, /hunter22|defect|BEGIN/);
        assert.equal(stdout.toString(), '');
      });
    }
  });

  describe('--config', () => {
    const write = (name: string, identities: unknown[]) =>
      file(
        name,
        stringify({
          dataDir: 'data',
          identities,
          trust: { anchors: ['root.pem'] },
          mailboxes: [
            {
              name: 'orders',
              destinations: [{ type: 'directory', path: 'inbox' }],
              addresses: ['@own.example'],
            },
          ],
        }),
      );

    it('takes keys and trust from the configuration', async () => {
      const config = write('decode.yaml', [
        { name: 'orders-key', certificate: own.certFile, key: own.keyFile },
      ]);
      const { code, verdict, stderr } = await verdictOf([mailFile, '--config', config]);
      assert.deepEqual([code, verdict.get('signature')], [0, 'valid'], stderr);
      assert.match(JSON.stringify(verdict.get('layers')), /"identity":"orders-key"/);
    });

    it('adds the keys of the options to those of the configuration', async () => {
      const config = write('other.yaml', []);
      const alone = await verdictOf([mailFile, '--config', config]);
      assert.deepEqual([alone.code, alone.verdict.get('status')], [1, 'failed']);
      const { code, verdict } = await verdictOf([mailFile, '--config', config, ...keyArgs]);
      assert.deepEqual([code, verdict.get('signature')], [0, 'valid']);
    });

    it('says what is wrong with the configuration', async () => {
      const config = write('broken.yaml', [{ name: 'a', certificate: 'gone.pem', key: 'gone.key' }]);
      const { code, stderr } = await command(['decode', mailFile, '--config', config]);
      assert.equal(code, 1);
      assert.match(stderr, /identities\[0\]\.certificate: .*there is no such file/);
      assert.match(stderr, /\[config-invalid\]/);
    });
  });

  describe('--out', () => {
    const folder = join(world.folder, 'out');
    mkdirSync(folder);

    it('writes the content, readable by its owner only', async () => {
      const out = join(folder, 'content');
      const { code } = await command(['decode', mailFile, ...keyArgs, '--out', out]);
      assert.equal(code, 0);
      assert.equal(readFileSync(out, 'utf8'), entity);
      assert.deepEqual(readdirSync(folder), ['content']);
    });

    // Damage that is found only when most of the content went through: the last block of the cipher.
    const large = openssl(
      ['cms', '-encrypt', '-binary', '-outform', 'DER', own.certFile],
      Buffer.alloc(1_000_000, 'x'),
    );
    const damaged = Buffer.from(large);
    damaged.set([(damaged.at(-1) ?? 0) ^ 1], damaged.length - 1);

    for (const [name, octets, args, expected] of [
      ['is damaged at its end', damaged, keyArgs, 'decrypt-failed'],
      ['is cut off', large.subarray(0, 700_000), keyArgs, 'asn1-truncated'],
      ['is for another key', large, ['--key', partner.keyFile, '--cert', partner.certFile], 'decrypt-no-key'],
      ['is empty', Buffer.alloc(0), keyArgs, 'message-empty'],
    ] as const) {
      it(`leaves nothing behind, and an old file as it was, when the message ${name}`, async () => {
        const input = file('bad', octets);
        const old = join(folder, 'content');
        writeFileSync(old, 'old content');
        for (const out of [old, join(folder, 'fresh')]) {
          const { code, verdict } = await verdictOf([input, ...args, '--out', out]);
          assert.equal(code, 1);
          assert.match(JSON.stringify(verdict.get('error')), new RegExp(`"code":"${expected}"`));
        }
        assert.deepEqual(readdirSync(folder), ['content']);
        assert.equal(readFileSync(old, 'utf8'), 'old content');
      });
    }

    it('writes nothing half to standard output', async () => {
      const { code, stdout, stderr } = await command([
        'decode',
        file('bad', damaged),
        ...keyArgs,
        '--out',
        '-',
      ]);
      assert.deepEqual([code, stdout.length], [1, 0]);
      assert.match(stderr, /^could not be decoded: .* \[decrypt-failed\]\n/);
    });

    it('says when the file cannot be written', async () => {
      const { code, stderr } = await command([
        'decode',
        mailFile,
        ...keyArgs,
        '--out',
        '/nonexistent/content',
      ]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^sealpost: cannot write \/nonexistent\/content: there is no such .* \[file-access\]\n/,
      );
    });
  });

  it('says when the message is not there', async () => {
    const out = join(world.folder, 'never');
    const { code, stderr } = await command(['decode', '/nonexistent.eml', ...keyArgs, '--out', out]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^sealpost: cannot read \/nonexistent\.eml: there is no such file \[file-access\]\n/,
    );
    assert.equal(existsSync(out), false);
  });

  for (const [name, args, wanted] of [
    ['no file', [], /missing required argument 'file'/],
    ['an unknown option', [mailFile, '--trsut', anchorFile], /unknown option '--trsut'/],
    [
      'a time that is none',
      [mailFile, '--at', 'yesterday'],
      /--at: "yesterday" is not an ISO 8601 time \[usage\]\nhint: /,
    ],
    [
      'two things for standard output',
      [mailFile, '--json', '--out', '-'],
      /both want standard output \[usage\]/,
    ],
  ] as const) {
    it(`ends with 2 for ${name}`, async () => {
      const { code, stderr, stdout } = await command(['decode', ...args]);
      assert.deepEqual([code, stdout.length], [2, 0]);
      assert.match(stderr, /^sealpost: /);
      assert.match(stderr, wanted);
    });
  }
});

describe('every command', () => {
  const commands = ['start', 'check', 'decode', 'encode', 'send', 'messages', 'health', 'demo'];
  for (const name of [
    ...commands,
    'messages list',
    'messages show',
    'messages resume',
    'messages terminate',
  ]) {
    it(`sealpost ${name} --help`, async () => {
      const { code, stdout, stderr } = await command([...name.split(' '), '--help']);
      assert.deepEqual([code, stderr], [0, '']);
      assert.match(stdout.toString(), new RegExp(`^Usage: sealpost ${name} `));
      assert.match(stdout.toString(), /exit codes?/i, 'the exit codes are not stated');
    });
  }

  it('is listed by sealpost --help', async () => {
    const { code, stdout } = await command(['--help']);
    assert.equal(code, 0);
    for (const name of commands) assert.match(stdout.toString(), new RegExp(`^  ${name} `, 'm'));
  });

  for (const args of [[], ['dcode'], ['messages'], ['messages', 'lst'], ['--nonsense']]) {
    it(`sealpost ${args.join(' ')} ends with 2`, async () => {
      const { code, stderr } = await command(args);
      assert.equal(code, 2);
      assert.notEqual(stderr, '');
    });
  }
});
