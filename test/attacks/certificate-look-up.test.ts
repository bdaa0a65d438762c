/** What a directory of certificates could do that is wrong, or somebody else's. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Lookups } from '../../src/lookup/index.ts';
import { rememberedValues } from '../lookup/remembered.ts';
import { createTestCa } from '../support/ca.ts';

describe('a certificate that a directory has', () => {
  const ca = createTestCa();
  const path = mkdtempSync(join(tmpdir(), 'sealpost-lookup-'));
  after(() => rmSync(path, { recursive: true }));

  it('large-certificates: is refused if it has more octets than a certificate needs', async () => {
    const padded = (octets: number) =>
      ca.issue({
        email: 'edi@acme.example',
        extensions: [{ oid: '1.3.6.1.4.1.99999.1', value: Buffer.alloc(octets) }],
      }).certificate;
    const [small, large] = [padded(15 * 1024), padded(16 * 1024)];
    for (const [name, each] of Object.entries({ small, large }))
      writeFileSync(join(path, `${name}.der`), each.der);
    const lookups = new Lookups({
      directories: [{ name: 'files', kind: 'folder', path }],
      ...{ dns: undefined, kept: rememberedValues(), life: 1000, now: Date.now },
    });
    const { found, refused } = await lookups.ask('edi@acme.example', ['files']);
    assert.deepEqual(
      found.map(({ certificate }) => certificate.thumbprint),
      [small.thumbprint],
    );
    assert.equal(refused.length, 1);
    assert.match(refused[0] ?? '', new RegExp(`${large.thumbprint.slice(0, 16)} has more octets`));
  });
});
