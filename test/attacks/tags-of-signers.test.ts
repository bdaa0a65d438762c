import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { children, oids, parse, raw } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeSignedData } from '../../src/cms/index.ts';
import { alice, cmsMail, entity, verdictOf } from './support.ts';

/** The parts of a SignedData, its digest algorithms and its signers. */
function partsOf(object: Buffer) {
  const [, explicit] = children(parse(object));
  assert.ok(explicit);
  const [signedData] = children(explicit);
  assert.ok(signedData);
  const [version, digests, content, certificates, signers] = children(signedData);
  assert.ok(version && digests && content && certificates && signers);
  return {
    version,
    digests: children(digests).map(raw),
    content,
    certificates,
    signers: children(signers).map(raw),
  };
}

function joined({ version, digests, content, certificates, signers }: ReturnType<typeof partsOf>): Buffer {
  const body = [raw(version), der.set(...digests), raw(content), raw(certificates), der.set(...signers)];
  return der.sequence(der.oid(oids.signedData), der.explicit(0, der.sequence(...body)));
}

function retagged(element: Buffer | undefined, identifier: number): Buffer {
  assert.ok(element);
  const changed = Buffer.from(element);
  changed[0] = identifier;
  return changed;
}

describe('elements of another type in SignedData', () => {
  const good = partsOf(encodeSignedData(entity, { signers: [alice] }));

  it('reads them as they should be', async () => {
    assert.equal((await verdictOf(cmsMail(joined(good)))).signature, 'valid');
  });

  // SET, [0], [PRIVATE 16], an application's SEQUENCE
  for (const identifier of [0x31, 0xa0, 0xf0, 0x70]) {
    it(`refuses a SignerInfo and a digest algorithm under the tag ${identifier.toString(16)}`, async () => {
      for (const changed of [
        { ...good, signers: good.signers.map((each) => retagged(each, identifier)) },
        { ...good, digests: good.digests.map((each) => retagged(each, identifier)) },
        { ...good, digests: [...good.digests, retagged(good.digests[0], identifier)] },
      ]) {
        const verdict = await verdictOf(cmsMail(joined(changed)));
        assert.equal(verdict.status, 'failed');
        assert.equal(verdict.error?.code, 'asn1-malformed');
      }
    });
  }
});
