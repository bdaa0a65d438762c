/** What a partner alone requires was evaded by a From that names it to lenient readers, and nobody to ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { judge } from '../../src/partner/policy.ts';
import { senderOf } from '../../src/partner/sender.ts';
import { authorsOf, partnersOf } from '../partner/support.ts';

function judged(require: string, from: string) {
  const partners = partnersOf(`
  - { name: a, addresses: ["@a.example"], require: [${require}] }
  - { name: p, addresses: ["@p.example"] }
`);
  const directory = new PartnerDirectory(partners);
  const sender = senderOf(directory, authorsOf(from), []);
  const unsigned = { status: 'ok', error: null, encrypted: true, signature: 'none' } as const;
  const layers = [{ type: 'enveloped-data', contentEncryption: { algorithm: 'des-ede3-cbc' } }];
  const policy = {
    require: [],
    notSmime: 'pass' as const,
    strong: { minimumRsaBits: 2048, minimumCurveBits: 224 },
  };
  const judgement = judge({ ...unsigned, layers }, policy, sender, directory);
  return 'accept' in judgement ? 'accept' : judgement.suspend;
}

describe('what one partner requires', () => {
  for (const from of [
    'From: x <a@a.example <x@y.example>>',
    'From: a@a.example x',
    'From: a@a.example.',
    'From: x@y.example\r\nFrom: a@a.example.',
    'Subject: nobody',
  ]) {
    it(`is not evaded by ${from}`, () => {
      assert.equal(judged('strong', from), 'sender-invalid');
      assert.equal(judged('', from), 'accept');
    });
  }

  it('concerns nobody else', () => {
    assert.equal(judged('strong', 'From: a@a.example'), 'policy-weak');
    assert.equal(judged('strong', 'From: x@p.example'), 'accept');
    assert.equal(judged('strong', 'From: x@y.example'), 'accept');
  });
});
