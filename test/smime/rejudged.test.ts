import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeSync, encodeSync, type Verdict } from '../../src/smime/index.ts';
import { failedVerdict, rejudged } from '../../src/smime/verdict/verdict.ts';
import { createTestCa } from '../support/ca.ts';

const ca = createTestCa('Rejudged Root');
const alice = ca.issue({ commonName: 'alice' });
const at = new Date('2026-01-01T00:00:00Z');

function signed(): Verdict {
  const mail = encodeSync(Buffer.from('Content-Type: text/plain\r\n\r\nx\r\n'), {
    identity: alice.identity,
    at,
  });
  const { verdict } = decodeSync(mail, { identities: [], trust: { anchors: [ca.certificate] }, at });
  assert.equal(verdict.integrity, 'signed');
  return verdict;
}

function withTrust(verdict: Verdict, trusted: boolean): Verdict {
  const layers = structuredClone(verdict.layers);
  for (const layer of layers)
    if ('signers' in layer) for (const signer of layer.signers) signer.trusted = trusted;
  return { ...verdict, layers };
}

describe('a verdict after authorities were asked', () => {
  it('loses and finds its signature with the trust of the signers', () => {
    const lost = rejudged(withTrust(signed(), false));
    assert.deepEqual([lost.signature, lost.integrity], ['untrusted', 'none']);
    const found = rejudged(withTrust(lost, true));
    assert.deepEqual([found.signature, found.integrity], ['valid', 'signed']);
  });

  it('that failed protects nothing, however its signers are judged', () => {
    const failed = failedVerdict(signed().layers, { code: 'mime-malformed', message: 'why' }, false);
    for (const trusted of [true, false]) {
      const { status, signature, integrity } = rejudged(withTrust(failed, trusted));
      assert.deepEqual([status, signature, integrity], ['failed', trusted ? 'valid' : 'untrusted', 'none']);
    }
  });

  it('of authenticated encryption keeps that when the signer is lost', () => {
    const layer = { ...signed().layers[0], type: 'auth-enveloped-data', recipients: [] };
    const both = { ...signed(), layers: [layer, ...signed().layers] } as unknown as Verdict;
    assert.equal(rejudged(withTrust(both, false)).integrity, 'aead');
    assert.equal(rejudged(withTrust(both, true)).integrity, 'signed');
  });
});
