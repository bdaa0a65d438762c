import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

const root = resolve(import.meta.dirname, '../..');

/** Files that a file imports at run time, directly or through others. */
function reached(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(resolve(root, file), 'utf8');
  for (const match of text.matchAll(/^(?:import|export)\s(?!type\s)[^;]*?from '(\.[^']+)';/gm))
    reached(relative(root, resolve(root, dirname(file), match[1] ?? '')), seen);
  return seen;
}

describe('what listens to the network', () => {
  // Only the processes that decrypt and send hold private keys: a hole in a listener must not reach them.
  const rooms = ['smtp', 'imap', 'queue', 'handoff', 'daemon', 'drop', 'consumer', 'sealed', 'client'];
  const files = globSync(`src/{${rooms}}/**/*.ts`, { cwd: root });

  // What reads certificates alone is no secret: a server that mail goes to is judged by its certificate.
  const secrets = ['private-key', 'pkcs12', 'identity', 'password-encryption', 'index'].map(
    (name) => `src/pki/${name}.ts`,
  );

  it('does not even load the code that reads private keys', () => {
    assert.ok(files.length > 0);
    const wrong = files.filter((file) => [...reached(file)].some((each) => secrets.includes(each)));
    assert.deepEqual(wrong, []);
  });

  it('would be seen: the keys file does reach it', () => {
    assert.ok(reached('src/config/keys.ts').has('src/pki/private-key.ts'));
  });
});
