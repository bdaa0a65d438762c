/** `sealpost/types`: the published schemas are those of the code, and refuse what is no such document. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { documentJsonSchema, documentNames } from '../../scripts/verdict-schema.ts';
import { eventsDocument, reportDocument } from '../../src/documents/index.ts';
import { assertDocument, validatorOf } from '../support/documents.ts';

const root = resolve(import.meta.dirname, '../..');
const sha256 = 'a'.repeat(64);

const report = {
  kind: 'suspended',
  id: 'i1',
  idempotencyKey: 'i1.suspended.inbound.0',
  direction: 'inbound',
  mailbox: 'orders',
  partner: null,
  partnerBy: null,
  destination: 'queue',
  failed: { step: 'decode', to: null },
  reason: { code: 'not-smime', explanation: 'no', facts: { attempts: 3, codes: ['a'], last: null } },
  receivedAt: '2026-11-23T00:00:00.000Z',
  suspendedAt: '2026-11-23T00:00:01.000Z',
  starts: 1,
  resumed: 0,
  envelope: { from: '', to: [] },
  origin: { kind: 'smtp', detail: { address: '192.0.2.1' } },
  messageId: null,
  octets: 3,
  sha256,
};

describe('published schemas', () => {
  for (const name of documentNames)
    it(`docs/${name}.schema.json is what the code says`, () => {
      const text = readFileSync(resolve(root, `docs/${name}.schema.json`), 'utf8');
      assert.equal(text === documentJsonSchema(name), true, 'run: node scripts/verdict-schema.ts');
    });

  it('take what they describe, and nothing else', () => {
    assertDocument('report', report);
    for (const original of [
      null,
      { octets: 9 },
      { octets: 3, sha256, encoding: 'base64', data: 'YWJj' },
      { octets: 3, sha256, file: 'original.eml' },
    ])
      assertDocument('report', { ...report, original });
    for (const wrong of [
      { ...report, kind: 'other' },
      { ...report, more: 1 },
      { ...report, failed: { step: 'sleep', to: null } },
      { ...report, original: 'abc' },
      { ...report, origin: { kind: 'pigeon', detail: {} } },
      Object.fromEntries(Object.entries(report).filter(([name]) => name !== 'octets')),
    ]) {
      assert.equal(reportDocument.safeParse(wrong).success, false, JSON.stringify(wrong));
      assert.equal(validatorOf('report')(wrong), false, JSON.stringify(wrong));
    }
    assert.equal(reportDocument.safeParse({ ...report, receivedAt: 'today' }).success, false);
    assert.equal(eventsDocument.safeParse({ events: [{ id: '1-0' }], missed: false }).success, false);
  });

  it('are in the package: what exports names is there, and nothing of it is left out of its files', () => {
    const { exports: exported, files } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'));
    assert.ok(files.includes('docs') && files.includes('dist'));
    for (const [name, target] of Object.entries<string | { types: string; default: string }>(exported)) {
      if (typeof target === 'string') continue;
      const source = target.default.replace('./dist/', '').replace(/\.js$/, '.ts');
      assert.ok(existsSync(resolve(root, source)), `${name}: ${source}`);
      assert.equal(target.types, target.default.replace(/\.js$/, '.d.ts'));
    }
    assert.equal(exported['./schemas/*.json'], './docs/*.schema.json');
    for (const name of [...documentNames, 'verdict', 'sealpost', 'partner'])
      assert.ok(existsSync(resolve(root, `docs/${name}.schema.json`)), name);
  });
});
