import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { relative } from 'node:path';
import { describe, it } from 'node:test';
import { decode, isEncryptionLayer, isSignatureLayer, type Verdict } from '../../src/smime/index.ts';
import { inputs } from './inputs.ts';
import { corpora, type Decodes, optionsOf, type Row, read, skip, tsv } from './row.ts';
import { rows } from './rows.ts';

const count = {
  decoded: 0,
  refused: 0,
  signatures: new Map<string, number>(),
  outside: new Map<string, number>(),
};
const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);

const decodeRow = (row: Row) => decode(row.octets?.() ?? read(row.file), optionsOf(row));

function checkDecoded(expected: Decodes, verdict: Verdict, content: Buffer | undefined): void {
  assert.equal(verdict.status, 'ok', verdict.error?.message);
  assert.deepEqual(
    verdict.layers.map(({ type }) => type),
    expected.layers,
  );
  if (expected.content !== undefined)
    assert.ok(
      content?.equals(expected.content),
      `other octets: ${content?.length}, not ${expected.content.length}`,
    );
  assert.equal(verdict.content?.sha256, content && createHash('sha256').update(content).digest('hex'));
  if (expected.sha256 !== undefined) assert.equal(verdict.content?.sha256, expected.sha256);
  if (expected.signature !== undefined) assert.equal(verdict.signature, expected.signature);
  const reasons = verdict.layers
    .filter(isSignatureLayer)
    .flatMap(({ signers }) => signers.map(({ reason }) => reason));
  if (expected.reasons !== undefined) assert.deepEqual(reasons, expected.reasons);
  const [outer] = verdict.layers;
  const encryption = outer !== undefined && isEncryptionLayer(outer) ? outer.contentEncryption : null;
  if (expected.cipher !== undefined) assert.equal(encryption?.algorithm, expected.cipher);
  if (expected.bits !== undefined) assert.equal(encryption?.keyBits, expected.bits);
  if (expected.integrity !== undefined) assert.equal(verdict.integrity, expected.integrity);
  if (expected.signature === undefined) assert.equal(verdict.signature, 'none');
}

const isNoise = ({ expect }: Row, { status }: Verdict) =>
  expect.kind === 'refused' && expect.code === 'decrypt-failed' && status === 'ok';

async function check(row: Row): Promise<void> {
  const { expect } = row;
  let { verdict, content } = await decodeRow(row);
  // one random content key in 256 leaves something that looks like a padding (threats S3)
  for (let again = 0; again < 3 && isNoise(row, verdict); again++)
    ({ verdict, content } = await decodeRow(row));
  if (expect.kind === 'decodes') {
    checkDecoded(expect, verdict, content);
    count.decoded++;
    if (expect.signature !== undefined) add(count.signatures, expect.signature);
    return;
  }
  assert.equal(verdict.status, 'failed');
  assert.equal(content, undefined);
  assert.equal(verdict.integrity, 'none');
  assert.equal(
    verdict.error?.code,
    expect.kind === 'refused' ? expect.code : 'decrypt-no-key',
    verdict.error?.message,
  );
  if (expect.kind === 'refused') count.refused++;
  else add(count.outside, expect.why);
}

/** What the survey, made with another parser (asn1crypto), calls each kind of recipient. */
const surveyed: Record<string, string> = {
  ktri: 'key-transport',
  kari: 'key-agreement',
  kekri: 'kek',
  pwri: 'password',
  ori: 'kem',
};

describe('every file of the corpora', { skip }, () => {
  const groups = Map.groupBy(rows, ({ file }) => file.split('/')[0] ?? '');
  for (const [group, members] of groups) {
    describe(group, () => {
      for (const row of members) it(`${row.file} (${row.source})`, () => check(row));
    });
  }

  it('names the recipients that another parser found (SURVEY.tsv)', async () => {
    let compared = 0;
    for (const [file, , structure = ''] of tsv('SURVEY.tsv')) {
      const kinds = [...structure.matchAll(/\| (ktri|kari|kekri|pwri|ori)\b/g)].map(
        ([, kind = '']) => surveyed[kind],
      );
      const row = rows.find((each) => each.file === file && each.expect.kind !== 'refused');
      if (kinds.length === 0 || row === undefined) continue;
      const { verdict } = await decodeRow(row);
      const [recipients] = verdict.layers.filter(isEncryptionLayer).map((layer) => layer.recipients);
      assert.deepEqual(
        recipients?.map(({ kind }) => kind),
        kinds,
        file,
      );
      compared++;
    }
    assert.ok(compared > 25, `${compared} files`);
  });

  it('is in the table, or is stated to be no message', () => {
    const known = new Set(rows.map(({ file }) => file));
    const unknown: string[] = [];
    for (const entry of readdirSync(corpora, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = relative(corpora, `${entry.parentPath}/${entry.name}`);
      if (known.delete(file)) continue;
      const why = inputs.find(([pattern]) => pattern.test(file))?.[1];
      if (why === undefined) unknown.push(file);
      else add(count.outside, why);
    }
    assert.deepEqual(unknown, []);
    assert.deepEqual([...known], [], 'rows whose file is not there');
  });

  it('summary', (context) => {
    const { decoded, refused, signatures, outside } = count;
    const total = [...outside.values()].reduce((sum, each) => sum + each, 0);
    const words = (counts: Map<string, number>) =>
      [...counts].map(([what, times]) => `${times} ${what}`).join('; ');
    context.diagnostic(
      `corpora: ${decoded} decoded (signatures: ${words(signatures)}), ${refused} refused as expected, ` +
        `${total} out of scope: ${words(outside)}`,
    );
    const closed = rows.filter(({ expect }) => expect.kind === 'no-key').length;
    assert.equal(decoded + refused + closed, rows.length, 'a row failed');
  });
});
