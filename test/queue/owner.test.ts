/** Whose a draft is: only what is certainly dead is called so. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { draftOwner, isDeadOwner } from '../../src/files.ts';
import { until } from '../support/net.ts';

const [machine = '', pid = '', start = ''] = draftOwner.split('-');

/** State and start of a process (proc(5), stat, fields 3 and 22). */
function look(of: number | string): [string | undefined, string | undefined] {
  const text = readFileSync(`/proc/${of}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return [fields[0], fields[19]];
}

describe('an owner', { skip: process.platform !== 'linux' }, () => {
  it('that lives is not dead, and neither is one of another machine or one that is none', () => {
    for (const owner of [
      draftOwner,
      `${'0'.repeat(16)}-4194305-1`,
      `unknown-4194305-1`,
      `${machine}-4194305`,
      `${machine}-4194305-1-2`,
      `x${machine}-4194305-1`,
      '',
    ])
      assert.equal(isDeadOwner(owner), false, owner);
  });

  it('whose process is gone is dead, also where its number is used again', () => {
    assert.equal(isDeadOwner(`${machine}-4194305-1`), true);
    assert.equal(isDeadOwner(`${machine}-${pid}-${Number(start) + 1}`), true);
  });

  it('that is a zombie is dead, and not before it is one', async () => {
    // The child of a shell that became a program which waits for nobody.
    const parent = spawn('sh', ['-c', 'sh -c "read line" <&3 & echo $!; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    });
    assert.ok(parent.stdout);
    const [said] = await once(parent.stdout, 'data');
    const child = String(said).trim();
    try {
      const [, began] = look(child);
      assert.equal(isDeadOwner(`${machine}-${child}-${began}`), false);
      parent.stdio[3]?.destroy();
      await until('it has ended', () => look(child)[0] === 'Z');
      assert.equal(isDeadOwner(`${machine}-${child}-${began}`), true);
    } finally {
      parent.kill('SIGKILL');
    }
  });
});
