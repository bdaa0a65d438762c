import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import * as z from 'zod';

const report = z.object({
  names: z.array(z.string()),
  mail: z.number(),
  html: z.number(),
  list: z.number(),
});

/** Seconds of processor time, as the kernel counts it: the start of node takes one of them on a slow machine. */
const most = 6;

test('file names, header fields and HTML of 95 KB and more are read step by step, within a bound of processor time', () => {
  const worker = join(import.meta.dirname, 'cost-of-fields-worker.ts');
  const command = `ulimit -t ${most}; exec "$0" --openssl-legacy-provider "$1"`;
  const child = spawnSync('/bin/sh', ['-c', command, process.execPath, worker], { encoding: 'utf8' });
  assert.equal(child.status, 0, `${child.signal} ${child.stderr.slice(-500)}`);
  const { names, mail, html, list } = report.parse(JSON.parse(child.stdout));
  for (const name of names) assert.ok(name !== '' && Buffer.byteLength(name) <= 123, name);
  assert.ok(names.some((name) => name.endsWith('.xml')));
  assert.ok(mail > 1000 && mail < 300_000, `${mail} octets`);
  assert.ok(html > 250_000 && list > 500_000, `${html} and ${list} octets`);
});
