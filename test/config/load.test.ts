import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { nearest } from '../../src/config/explain.ts';
import { loadConfig, openConfig, readConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/problem.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-config-'));
after(() => rmSync(folder, { recursive: true }));

function write(text: string): string {
  const file = join(folder, 'sealpost.yaml');
  writeFileSync(file, text);
  return file;
}

const full = `
dataDir: data
redis: { url: 'unix:///run/redis.sock', password: { file: secrets/redis } }
smtp: { listen: [{ port: 2525 }], maxSize: 20 MiB }
identities: [{ name: own, pkcs12: ../own.p12, password: { env: OWN } }]
trust: { anchors: [ca.pem, /etc/ca.pem] }
mailboxes:
  - name: orders
    addresses: ["@example.com"]
    destinations: [{ type: directory, path: in }]
`;

describe('loadConfig', () => {
  it('fills in defaults, in milliseconds and octets', () => {
    const config = loadConfig(write(''));
    assert.equal(config.dataDir, '/var/lib/sealpost');
    assert.equal(config.redis.commandTimeout, 8000);
    assert.equal(config.smtp.maxSize, 150 * 1024 * 1024);
    assert.deepEqual(config.mailboxes, []);
  });

  it('resolves relative paths against the folder of the file, also inside unions and lists', () => {
    const config = loadConfig(write(full));
    assert.equal(config.dataDir, join(folder, 'data'));
    assert.deepEqual(config.redis.password, { file: join(folder, 'secrets/redis') });
    assert.equal(config.identities[0]?.pkcs12, join(folder, '../own.p12'));
    assert.deepEqual(config.identities[0]?.password, { env: 'OWN' });
    assert.deepEqual(config.trust.anchors, [join(folder, 'ca.pem'), '/etc/ca.pem']);
    const destination = config.mailboxes[0]?.destinations[0];
    assert.equal(destination?.type === 'directory' && destination.path, join(folder, 'in'));
    assert.equal(config.redis.url, 'unix:///run/redis.sock', 'a URL is not a path');
    assert.equal(config.smtp.maxSize, 20 * 1024 * 1024);
  });

  it('keeps the place of each setting, and of the nearest one above for what is not written', () => {
    const { source } = openConfig(write(full));
    const at = (...path: (string | number)[]) => {
      const { line, column } = source.main.locate(path);
      return `${line}:${column}`;
    };
    assert.equal(at('identities', 0, 'pkcs12'), '5:35');
    assert.equal(at('mailboxes', 0, 'destinations', 0, 'path'), '10:45');
    assert.equal(at('mailboxes', 0, 'imap', 'host'), '8:5');
    assert.equal(at('log', 'level'), '1:1');
  });

  it('follows YAML anchors to the place of their values', () => {
    const read = readConfig('a: &x { level: loud }\nlog: *x\n', 'f.yaml');
    const found = read.problems.map(({ line, column, setting }) => `${line}:${column} ${setting}`);
    assert.deepEqual(found, ['1:1 a', '1:16 log.level']);
  });

  it('carries all problems in the error and in its message', () => {
    const file = write('log: { level: loud }\nretry: { attempts: 0 }\n');
    assert.throws(
      () => loadConfig(file),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.equal(error.code, 'config-invalid');
        assert.deepEqual(
          error.problems.map(({ setting }) => setting),
          ['log.level', 'retry.attempts'],
        );
        assert.match(error.message, /has 2 errors\n.*sealpost\.yaml:1:15: .*\n.*sealpost\.yaml:2:20: /);
        return true;
      },
    );
  });

  it('says when there is no file', () => {
    assert.throws(() => loadConfig(join(folder, 'none.yaml')), {
      code: 'file-access',
      message: /no such file/,
    });
  });
});

describe('nearest', () => {
  it('finds what was meant', () => {
    const known = ['hostname', 'listen', 'requireTls', 'maxSize'];
    assert.equal(nearest('host-name', known), 'hostname');
    assert.equal(nearest('litsen', known), 'listen');
    assert.equal(nearest('max_size', known), 'maxSize');
    assert.equal(nearest('banner', known), undefined);
  });
});
