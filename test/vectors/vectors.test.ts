import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createIdentity, type Identity, readCertificates } from '../../src/pki/index.ts';
import {
  type DecodeOptions,
  decode,
  decodeSync,
  isEncryptionLayer,
  isSignatureLayer,
} from '../../src/smime/index.ts';
import type { Row, Table } from './table.ts';

const read = (name: string) => readFileSync(join(import.meta.dirname, name));
const table: Table = JSON.parse(read('vectors.json').toString());
const anchors = readCertificates(read('keys/ca.crt'));

function identity(name: string): Identity {
  const pem = read(`keys/${name}.pem`);
  return createIdentity(name, readCertificates(pem), createPrivateKey(pem));
}

function optionsFor({ keys, aeadInEnvelopedData = false }: Row): DecodeOptions {
  return { identities: keys.map(identity), trust: { anchors }, at: new Date(table.at), aeadInEnvelopedData };
}

function* pieces(octets: Buffer): Iterable<Buffer> {
  for (let at = 0; at < octets.length; at += 61) yield octets.subarray(at, at + 61);
}

/** A SET has no order of its own. */
function inOrder<T extends { signers: { name: string | null }[] }>(facts: T): T {
  const signers = facts.signers.toSorted((a, b) => (a.name ?? '').localeCompare(b.name ?? ''));
  return { ...facts, signers };
}

describe('mail and CMS objects of other programs', () => {
  for (const row of table.rows) {
    const { file, by, expect, why } = row;
    it(`${file} (${by}): ${why}`, async () => {
      const octets = read(file);
      const { verdict, content } = decodeSync(octets, optionsFor(row));
      const encryption = verdict.layers.find(isEncryptionLayer)?.contentEncryption?.algorithm ?? null;
      const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
      const found = {
        layers: verdict.layers.map(({ type }) => type),
        cipher: encryption,
        signature: verdict.signature,
        signers: signers.map(({ digestAlgorithm, valid, trusted, reason, subject }) => ({
          name: /CN=([^,]+)/.exec(subject ?? '')?.[1] ?? null,
          digest: digestAlgorithm,
          reason: valid && trusted ? null : reason,
        })),
        error: verdict.error?.code,
      };
      const { content: wanted, ...facts } = { error: undefined, ...expect };
      assert.deepEqual(inOrder(found), inOrder(facts));
      assert.deepEqual(content, wanted === null ? undefined : read(wanted));
      assert.equal(verdict.encrypted, facts.cipher !== null);
      const streamed = await decode(pieces(octets), optionsFor(row));
      assert.equal(streamed.verdict.signature, row.onceRead ?? verdict.signature);
      if (row.onceRead === undefined) assert.deepEqual(streamed.content, content);
    });
  }

  it('has a row for each file, and is a few hundred kilobytes', () => {
    const names = readdirSync(import.meta.dirname).filter((name) => /\.(?:eml|der|pem)$/.test(name));
    assert.deepEqual(names.toSorted(), table.rows.map(({ file }) => file).toSorted());
    const octets = names.reduce((sum, name) => sum + statSync(join(import.meta.dirname, name)).size, 0);
    assert.ok(octets < 500_000, `${octets} octets`);
    for (const peer of ['OpenSSL', 'Bouncy Castle', 'NSS', 'gpgsm'])
      assert.ok(table.rows.some(({ by }) => by.startsWith(peer)));
  });
});
