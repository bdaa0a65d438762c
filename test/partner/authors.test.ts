import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseHeaders } from '../../src/message/index.ts';
import { authorsOf } from '../../src/partner/authors.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { judge } from '../../src/partner/policy.ts';
import { partnersOf } from './support.ts';

const outer = parseHeaders(Buffer.from('From: Mallory <mallory@evil.example>\r\nSubject: x\r\n\r\n'));
const from = (value: string) => ({ name: 'FROM', value });

describe('the From field that the policy judges', () => {
  it('is the protected one, with all of its addresses', () => {
    for (const protection of ['rfc9788-clear', 'rfc9788-cipher', 'wrapped', 'unmarked']) {
      const fields = [from('Alice <alice@acme.example>, b@acme.example'), from('c@acme.example')];
      assert.deepEqual(authorsOf({ protection, fields }, outer), [
        'alice@acme.example',
        'b@acme.example',
        'c@acme.example',
      ]);
    }
  });

  it('is the outer one where the protected octets have none, and need not', () => {
    for (const protection of ['none', 'unmarked'])
      assert.deepEqual(authorsOf({ protection, fields: [] }, outer), ['mallory@evil.example']);
  });

  it('is nobody where a complete header has none', () => {
    assert.deepEqual(authorsOf({ protection: 'rfc9788-clear', fields: [] }, outer), []);
  });

  it("does not let a signer hand off somebody else's name by writing its own outside", () => {
    const directory = new PartnerDirectory(
      partnersOf('\n  - { name: acme, addresses: ["@acme.example"] }\n'),
    );
    const signer = { thumbprint: 'c1', emails: ['mallory@evil.example'], valid: true, trusted: true };
    const verdict = {
      status: 'ok',
      error: null,
      encrypted: false,
      signature: 'valid',
      layers: [{ type: 'signed-data', signers: [signer] }],
    } as const;
    const judged = (fields: { name: string; value: string }[]) => {
      const authors = authorsOf({ protection: 'unmarked', fields }, outer);
      const sender = directory.senderOf({ signers: ['c1'], from: authors });
      return judge(
        verdict,
        { require: ['signed'], notSmime: 'suspend', strong: { minimumRsaBits: 2048, minimumCurveBits: 224 } },
        { from: authors, sender, directory },
      );
    };
    assert.deepEqual(judged([]), { accept: true });
    assert.ok('suspend' in judged([from('alice@acme.example')]));
  });
});
