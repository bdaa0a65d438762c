/** What CI makes of the answer of `npm audit signatures`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const script = join(import.meta.dirname, '../../scripts/audit-signatures.sh');

describe('signatures of the packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-audit-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  /** With an npm that says this. */
  const run = (said: string, code: number) => {
    writeFileSync(join(folder, 'npm'), `#!/bin/sh\ncat <<'EOS'\n${said}\nEOS\nexit ${code}\n`, {
      mode: 0o755,
    });
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
    const { status, stdout } = spawnSync('bash', [script], { env });
    return { status, text: `${stdout}` };
  };

  it('fail the run when one is wrong or missing', () => {
    for (const said of [
      '1 package has an invalid registry signature:\n\nleft-pad@1.3.0 (https://registry.npmjs.org/)',
      '2 packages have missing registry signatures but the registry is providing signing keys:',
      '1 package has an invalid attestation:',
    ])
      assert.equal(run(said, 1).status, 1, said);
  });

  it('do not when they are right, or when nobody can be asked', () => {
    const right = run('audited 300 packages in 2s\n\n300 packages have verified registry signatures', 0);
    assert.deepEqual(right, { status: 0, text: '300 packages have verified registry signatures\n' });
    for (const said of ['npm error code ENOTFOUND', 'npm error code E404', 'something else']) {
      const { status, text } = run(said, 1);
      assert.equal(status, 0, said);
      assert.match(text, /not checked/);
    }
  });
});
