/** `sealpost dkim record`, and what `check` says of keys and their records. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { command } from '../support/command.ts';
import { ed25519Key, pemOf, rsaKey } from '../support/dkim.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';
import { makeWorld } from '../support/world.ts';

describe('DKIM keys', { skip: skipWithoutUnbound() }, () => {
  const world = makeWorld();
  let unbound: Unbound;
  const file = (name: string, key = rsaKey()) => world.file(name, pemOf(key));
  const [r1, e1] = [file('r1.key'), file('e1.key', ed25519Key())];
  const sound = [
    { domain: 'own.test', selector: 'r1', key: r1 },
    { domain: 'own.test', selector: 'e1', key: e1 },
  ];

  before(async () => {
    unbound = await startUnbound([{ name: 'own.test', signed: false, records: [] }]);
  });
  after(() => {
    unbound.stop();
    world.remove();
  });

  const configOf = (dkim: object[]) => {
    const dns = { resolver: '127.0.0.1', port: unbound.port };
    return world.file('dkim.yaml', stringify({ dataDir: world.folder, dns, dkim }));
  };
  const check = async (dkim: object[], ...args: string[]) => {
    const { code, stdout } = await command(['check', '--config', configOf(dkim), ...args]);
    const lines = stdout.toString().split('\n');
    return {
      code,
      said: lines.map((line) => /: ((?:error|warning): dkim.*)/.exec(line)?.[1] ?? '').filter(Boolean),
    };
  };
  const record = async (dkim: object[], ...args: string[]) =>
    (await command(['dkim', 'record', '--config', configOf(dkim), ...args])).stdout.toString();
  /** What is printed, as a zone has it. */
  const publish = async (...lines: string[]) =>
    await unbound.set({
      name: 'own.test',
      signed: false,
      records: lines.map((line) => line.replace('.own.test.', '')).filter(Boolean),
    });

  it('are printed as lines of a zone file, which DNS takes and check --online finds to be right', async () => {
    const printed = await record(sound);
    assert.match(
      printed,
      /^r1\._domainkey\.own\.test\. IN TXT \( "v=DKIM1; k=rsa; h=sha256; p=[^"]+" "[^"]+" \)\n/,
    );
    assert.match(
      printed,
      /\ne1\._domainkey\.own\.test\. IN TXT "v=DKIM1; k=ed25519; h=sha256; p=[A-Za-z0-9+/]{43}="\n$/,
    );
    const before = await check(sound, '--online');
    assert.equal(before.code, 1);
    assert.deepEqual(
      before.said,
      ['r1', 'e1'].map(
        (selector, at) =>
          `error: dkim[${at}]: ${selector}._domainkey.own.test has no record of a key for DKIM (publish what this prints: sealpost dkim record own.test)`,
      ),
    );
    await publish(
      ...printed.split('\n').map((line) => line.replace('k=ed25519; h=sha256', 'k=ed25519; t=y')),
    );
    const test = await check(sound, '--online');
    assert.equal(test.code, 0);
    assert.match(
      test.said.join(),
      /^warning: dkim\[1\]: e1\._domainkey\.own\.test says that signatures are a test[^,]*,[^,]*$/,
    );
    await publish(...printed.split('\n'));
    assert.deepEqual(await check(sound, '--online'), { code: 0, said: [] });
    const json = JSON.parse(await record(sound, 'OWN.test', '--json'));
    assert.deepEqual(json[1].name, 'e1._domainkey.own.test');
    const other = await command(['dkim', 'record', '--config', configOf(sound), 'other.test']);
    assert.deepEqual([other.code, other.stdout.toString()], [2, '']);
  });

  it('that are too short, of another kind, encrypted or readable by others fail check', async () => {
    const open = file('open.key');
    chmodSync(open, 0o644);
    const curve = world.party('curve@own.example', { key: 'p256' }).keyFile;
    const keys = [
      file('512.key', rsaKey(1023)),
      file('1024.key', rsaKey(1024)),
      file('2047.key', rsaKey(2047)),
      r1,
      curve,
      open,
    ];
    const { code, said } = await check(
      keys.map((key, index) => ({ domain: 'own.test', selector: `s${index}`, key })),
    );
    assert.equal(code, 1);
    assert.deepEqual(
      said.map((line) => line.replaceAll(`${world.folder}/`, '')),
      [
        'error: dkim[0].key: 512.key: an RSA key of 1023 bits is too short, and refused (make one of 2048 bits: openssl genrsa 2048)',
        'warning: dkim[1].key: an RSA key of 1024 bits is weak (write one of 2048 bits, with a new selector)',
        'warning: dkim[2].key: an RSA key of 2047 bits is weak (write one of 2048 bits, with a new selector)',
        'error: dkim[4].key: curve-own-example.key.pem: a key of the type ec cannot sign with DKIM (make one: openssl genrsa 2048, or openssl genpkey -algorithm ed25519)',
        'error: dkim[5].key: open.key: mode 0644 lets others read or write it (run: chmod 600 open.key)',
      ],
    );
  });

  it('are made as docs/sending.md says, and its configuration is right', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/sending.md'), 'utf8');
    const section = /^## DKIM\n(.*?)^## /ms.exec(page)?.[1] ?? '';
    const block = (kind: string) => new RegExp(`\`\`\`${kind}\\n(.*?)\`\`\``, 's').exec(section)?.[1] ?? '';
    mkdirSync(join(world.folder, 'keys'));
    const config = world.file('sending.yaml', `dataDir: data\n${block('yaml')}`);
    const lines = block('sh').trim().split('\n');
    const last = lines.pop();
    for (const line of lines) {
      const [program = '', ...args] = line.split(' ');
      const ran = spawnSync(program, args, { cwd: world.folder });
      assert.equal(ran.status, 0, `${line}: ${ran.stderr}`);
    }
    assert.equal(last, 'sealpost dkim record');
    const { stdout } = await command(['dkim', 'record', '--config', config]);
    assert.match(
      stdout.toString(),
      /^r2026\._domainkey\.example\.com\. IN TXT .*\ne2026\._domainkey\.example\.com\. IN TXT .*\n$/,
    );
    const checked = await command(['check', '--config', config, '--json']);
    const problems: { severity: string }[] = JSON.parse(checked.stdout.toString());
    assert.deepEqual(
      problems.filter(({ severity }) => severity === 'error'),
      [],
    );
  });
});
