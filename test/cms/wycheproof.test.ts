/**
 * Project Wycheproof's vectors through the functions that the codec itself uses. Its files are not part of this
 * project: `SEALPOST_WYCHEPROOF` names the folder of its `testvectors_v1` (see docs/conformance.md). Without it,
 * nothing runs.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Handler, handlers, type Vector, type VectorFile } from './wycheproof.ts';

const folder = process.env.SEALPOST_WYCHEPROOF;
const skip =
  folder === undefined || !existsSync(folder)
    ? 'SEALPOST_WYCHEPROOF names no folder with its vectors'
    : false;

interface Tally {
  accepted: number;
  refused: number;
  notForUs: Map<string, number>;
  wrong: string[];
}

function judge(
  handler: Handler,
  group: VectorFile['testGroups'][number],
  vector: Vector,
  tally: Tally,
): void {
  const answer = handler(group, vector);
  if (typeof answer === 'string') {
    tally.notForUs.set(answer, (tally.notForUs.get(answer) ?? 0) + 1);
    return;
  }
  if (answer) tally.accepted++;
  else tally.refused++;
  if (vector.result === 'acceptable' || answer === (vector.result === 'valid')) return;
  const flags = (vector.flags ?? []).join(', ');
  tally.wrong.push(
    `${vector.tcId} is ${vector.result}, ${answer ? 'accepted' : 'refused'} here: ${vector.comment ?? ''} (${flags})`,
  );
}

for (const [files, handler] of handlers) {
  test(`Wycheproof: ${files.source.replace(/[\^$\\]/g, '')}`, { skip }, (context) => {
    const names = readdirSync(folder ?? '').filter((name) => files.test(name));
    assert.ok(names.length > 0, 'files of that name');
    const tally: Tally = { accepted: 0, refused: 0, notForUs: new Map(), wrong: [] };
    for (const name of names) {
      const before = tally.wrong.length;
      const { testGroups } = JSON.parse(readFileSync(join(folder ?? '', name), 'utf8')) as VectorFile;
      for (const group of testGroups) for (const vector of group.tests) judge(handler, group, vector, tally);
      for (let at = before; at < tally.wrong.length; at++) tally.wrong[at] = `${name} ${tally.wrong[at]}`;
    }
    const others = [...tally.notForUs].map(([why, count]) => `${count} ${why}`).join(', ');
    context.diagnostic(
      `${names.length} files: ${tally.accepted} accepted, ${tally.refused} refused${others && `; not run: ${others}`}`,
    );
    assert.deepEqual(tally.wrong, []);
    assert.ok(tally.accepted > 0, 'some were accepted');
  });
}
