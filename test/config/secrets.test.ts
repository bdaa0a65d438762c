import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { readSecret } from '../../src/config/secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-secrets-'));
after(() => rmSync(folder, { recursive: true }));
const root = process.geteuid?.() === 0;

function secretFile(content: string, mode = 0o600): string {
  const file = join(folder, `secret-${Math.random().toString(36).slice(2)}`);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

describe('readSecret', () => {
  for (const [written, secret] of [
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    [' hunter2 \n\n', ' hunter2 \n'],
    ['päss\n', 'päss'],
  ] as const)
    it(`takes ${JSON.stringify(written)} without one newline at its end`, () => {
      assert.equal(readSecret({ file: secretFile(written) }), secret);
    });

  it('takes a file of a megabyte, and refuses one octet more', () => {
    const most = 1024 * 1024;
    assert.equal(readSecret({ file: secretFile('x'.repeat(most)) }).length, most);
    assert.throws(() => readSecret({ file: secretFile('x'.repeat(most + 1)) }), { code: 'file-access' });
  });

  for (const mode of [0o400, 0o600, 0o700])
    it(`takes mode ${mode.toString(8)}`, () => {
      assert.equal(readSecret({ file: secretFile('x', mode) }), 'x');
    });

  for (const mode of [0o640, 0o604, 0o644, 0o660, 0o620, 0o602])
    it(`refuses mode ${mode.toString(8)} of an own file`, () => {
      const file = secretFile('hunter2', mode);
      assert.throws(
        () => readSecret({ file }),
        (error: Error & { code?: string; hint?: string }) => {
          assert.equal(error.code, 'file-mode');
          assert.match(error.message, new RegExp(`mode 0${mode.toString(8)} `));
          assert.equal(error.hint, `run: chmod 600 ${file}`);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });

  it('takes a file of root that its group may read, as orchestrators mount it', {
    skip: !root && 'not root',
  }, () => {
    const group = secretFile('x', 0o440);
    const world = secretFile('x', 0o444);
    const writable = secretFile('x', 0o460);
    chownSync(group, 0, 65534);
    const geteuid = process.seteuid;
    assert.ok(geteuid && process.setegid);
    chmodSync(folder, 0o755);
    process.setegid(65534);
    process.seteuid?.(65534);
    try {
      assert.equal(readSecret({ file: group }), 'x');
      assert.throws(() => readSecret({ file: world }), { code: 'file-mode' });
      assert.throws(() => readSecret({ file: writable }), { code: /file-(mode|access)/ });
    } finally {
      process.seteuid?.(0);
      process.setegid(0);
      chmodSync(folder, 0o700);
    }
  });

  it('says when the file is missing, empty or no file', () => {
    assert.throws(() => readSecret({ file: join(folder, 'none') }), {
      code: 'file-access',
      message: /no such file/,
    });
    assert.throws(() => readSecret({ file: secretFile('\n') }), {
      code: 'config-invalid',
      message: /no secret/,
    });
    assert.throws(() => readSecret({ file: folder }), { code: /file-/ });
  });

  it('reads the environment, and names a variable that is not set', () => {
    assert.equal(readSecret({ env: 'OWN' }, { OWN: 'hunter2' }), 'hunter2');
    assert.throws(() => readSecret({ env: 'OWN' }, {}), {
      code: 'config-invalid',
      message: /OWN is not set/,
    });
    assert.throws(() => readSecret({ env: 'OWN' }, { OWN: '' }), { code: 'config-invalid' });
  });
});
