import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { judge, type VerdictFacts } from '../../src/partner/policy.ts';
import { senderOf } from '../../src/partner/sender.ts';
import { authorsOf, partnersOf } from './support.ts';

const partners = partnersOf(`
  - { name: acme, addresses: ["@acme.example"] }
  - { name: big, addresses: [orders@big.example] }
`);
const directory = new PartnerDirectory(partners, new Map([['big', [{ thumbprint: 'b1' }]]]));

type Signer = { thumbprint: string; emails: string[] };
type Require = 'encrypted' | 'signed' | 'partner';

interface Case {
  why: string;
  encrypted?: boolean;
  signature?: VerdictFacts['signature'];
  signer?: Signer | Signer[];
  /** Header lines besides From. */
  lines?: string[];
  failed?: ErrorCode;
  from?: string[];
  require?: Require[];
  notSmime?: 'pass' | 'suspend';
  expect: 'accept' | ErrorCode;
  message?: RegExp;
}

const pinned = { thumbprint: 'b1', emails: [] };
const anchored = (...emails: string[]) => ({ thumbprint: 'c1', emails });

const cases: Case[] = [
  { why: 'encrypted, nothing required', encrypted: true, expect: 'accept' },
  { why: 'signed and invalid, nothing required', signature: 'invalid', expect: 'accept' },
  { why: 'neither, suspended by default', expect: 'not-smime' },
  { why: 'neither, passed', notSmime: 'pass', expect: 'accept' },
  {
    why: 'neither, passed, but encryption required',
    notSmime: 'pass',
    require: ['encrypted'],
    expect: 'policy-refused',
    message: /encryption/,
  },
  {
    why: 'neither, passed, but a signature required',
    notSmime: 'pass',
    require: ['signed'],
    expect: 'policy-refused',
    message: /has none/,
  },
  {
    why: 'not decoded: its own reason',
    encrypted: true,
    failed: 'decrypt-no-key',
    notSmime: 'pass',
    expect: 'decrypt-no-key',
  },
  { why: 'not S/MIME by its error, passed', failed: 'not-smime', notSmime: 'pass', expect: 'accept' },
  { why: 'not S/MIME by its error, suspended', failed: 'not-smime', expect: 'not-smime' },
  { why: 'encrypted as required', encrypted: true, require: ['encrypted'], expect: 'accept' },
  {
    why: 'signed only, encryption required',
    signature: 'valid',
    require: ['encrypted'],
    expect: 'policy-refused',
  },
  { why: 'signature invalid', signature: 'invalid', require: ['signed'], expect: 'signature-invalid' },
  {
    why: 'signature untrusted',
    signature: 'untrusted',
    require: ['signed'],
    expect: 'policy-refused',
    message: /not trusted/,
  },
  { why: 'signature none', encrypted: true, require: ['signed'], expect: 'policy-refused' },
  {
    why: 'signed by the pinned certificate of the partner',
    signature: 'valid',
    signer: pinned,
    from: ['orders@big.example'],
    require: ['signed', 'partner'],
    expect: 'accept',
  },
  {
    why: 'signed by a pinned certificate, from an unknown address',
    signature: 'valid',
    signer: pinned,
    from: ['x@y.example'],
    require: ['signed', 'partner'],
    expect: 'policy-refused',
    message: /none of partner big/,
  },
  {
    why: 'signed by a pinned certificate, an unknown address beside the own one',
    signature: 'valid',
    signer: pinned,
    from: ['orders@big.example', 'x@y.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /none of partner big/,
  },
  {
    why: 'signed by a pinned certificate, another partner beside the own address',
    signature: 'valid',
    signer: pinned,
    from: ['orders@big.example', 'a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /names partner acme/,
  },
  {
    why: 'two partners in From, a certificate with addresses of both',
    signature: 'valid',
    signer: anchored('orders@big.example', 'a@acme.example'),
    from: ['orders@big.example', 'a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /names partners big and acme/,
  },
  {
    why: 'a certificate with addresses of two partners speaks for each',
    signature: 'valid',
    signer: anchored('orders@big.example', 'a@acme.example'),
    from: ['a@acme.example'],
    require: ['signed', 'partner'],
    expect: 'accept',
  },
  {
    why: 'two partners in From, no signature required',
    from: ['orders@big.example', 'a@acme.example'],
    encrypted: true,
    require: ['partner'],
    expect: 'policy-refused',
  },
  {
    why: 'signed by the partner of From, and by another one',
    signature: 'valid',
    signer: [pinned, anchored('a@acme.example')],
    from: ['orders@big.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /acme signed it/,
  },
  {
    why: 'signed by the partner of From, and by a stranger',
    signature: 'valid',
    signer: [pinned, anchored('x@y.example')],
    from: ['orders@big.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'two strangers, both in the certificates of two signers',
    signature: 'valid',
    signer: [anchored('a@y.example'), anchored('b@z.example')],
    from: ['a@y.example', 'b@z.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'two strangers, the second one in no certificate',
    signature: 'valid',
    signer: anchored('a@y.example'),
    from: ['a@y.example', 'b@z.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /does not name the address/,
  },
  {
    why: 'two strangers, the first one in no certificate',
    signature: 'valid',
    signer: anchored('b@z.example'),
    from: ['a@y.example', 'b@z.example'],
    require: ['signed'],
    expect: 'policy-refused',
  },
  {
    why: 'a Sender field with another partner',
    signature: 'valid',
    signer: pinned,
    from: ['orders@big.example'],
    lines: ['Sender: a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /Sender field names partner acme/,
  },
  {
    why: 'a Sender field with a partner, and a stranger in From',
    signature: 'valid',
    signer: anchored('a@y.example'),
    from: ['a@y.example'],
    lines: ['Sender: a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
  },
  {
    why: 'a Sender field with the partner itself',
    signature: 'valid',
    signer: pinned,
    from: ['orders@big.example'],
    lines: ['Sender: Orders@BIG.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'a Sender field of a provider',
    signature: 'valid',
    signer: pinned,
    from: ['orders@big.example'],
    lines: ['Sender: bounce@provider.example'],
    require: ['signed', 'partner'],
    expect: 'accept',
  },
  {
    why: 'a Sender field with another partner, where nothing is required',
    encrypted: true,
    from: ['orders@big.example'],
    lines: ['Sender: a@acme.example'],
    expect: 'accept',
  },
  {
    why: 'two Sender fields',
    encrypted: true,
    from: ['orders@big.example'],
    lines: ['Sender: x@y.example', 'Sender: x@y.example'],
    require: ['partner'],
    expect: 'sender-invalid',
  },
  {
    why: 'signed by one partner in the name of another',
    signature: 'valid',
    signer: pinned,
    from: ['a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /by partner big.*partner acme/,
  },
  {
    why: 'the same, only a partner required',
    signature: 'valid',
    signer: pinned,
    from: ['a@acme.example'],
    require: ['partner'],
    expect: 'policy-refused',
  },
  {
    why: 'trusted signer with the address of the sender',
    signature: 'valid',
    signer: anchored('A@acme.example'),
    from: ['a@acme.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'trusted signer with another address of the partner',
    signature: 'valid',
    signer: anchored('edi@acme.example'),
    from: ['a@acme.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'trusted signer, stranger, in the name of a partner',
    signature: 'valid',
    signer: anchored('evil@x.example'),
    from: ['a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
    message: /names no address of partner acme/,
  },
  {
    why: 'the stranger beside the partner in From',
    signature: 'valid',
    signer: anchored('evil@x.example'),
    from: ['evil@x.example', 'a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
  },
  {
    why: 'trusted signer without addresses in the name of a partner',
    signature: 'valid',
    signer: anchored(),
    from: ['a@acme.example'],
    require: ['signed'],
    expect: 'policy-refused',
  },
  {
    why: 'trusted signer without addresses, no partner',
    signature: 'valid',
    signer: anchored(),
    from: ['a@y.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'trusted signer, no partner, own address',
    signature: 'valid',
    signer: anchored('a@y.example'),
    from: ['a@Y.example'],
    require: ['signed'],
    expect: 'accept',
  },
  {
    why: 'trusted signer, no partner, other address',
    signature: 'valid',
    signer: anchored('a@y.example'),
    from: ['b@y.example'],
    require: ['signed'],
    expect: 'policy-refused',
  },
  {
    why: 'trusted signer with an address, no From',
    signature: 'valid',
    signer: anchored('a@y.example'),
    from: [],
    require: ['signed'],
    expect: 'sender-invalid',
  },
  {
    why: 'a partner by address',
    encrypted: true,
    from: ['a@acme.example'],
    require: ['partner'],
    expect: 'accept',
  },
  {
    why: 'a stranger',
    encrypted: true,
    from: ['a@y.example'],
    require: ['partner'],
    expect: 'partner-unknown',
  },
];

describe('judge', () => {
  for (const { why, expect, message, ...given } of cases)
    it(why, () => {
      const {
        encrypted = false,
        signature = 'none',
        signer,
        lines = [],
        failed,
        from = [],
        require = [],
        notSmime = 'suspend',
      } = given;
      const signers =
        signer === undefined
          ? []
          : [signer].flat().map((each) => ({
              ...each,
              valid: signature !== 'invalid',
              trusted: signature === 'valid',
            }));
      const verdict: VerdictFacts = {
        status: failed === undefined ? 'ok' : 'failed',
        error: failed === undefined ? null : { code: failed, message: 'why' },
        encrypted,
        signature,
        layers: [
          ...(encrypted ? [{ type: 'enveloped-data' }] : []),
          ...(signature === 'none' ? [] : [{ type: 'signed-data', signers }]),
        ],
      };
      const header = [...(from.length === 0 ? [] : [`From: ${from.join(', ')}`]), ...lines];
      const sender = senderOf(directory, authorsOf(...header), signers);
      const judgement = judge(
        verdict,
        { require, notSmime, strong: { minimumRsaBits: 2048, minimumCurveBits: 224 } },
        sender,
        directory,
      );
      assert.equal('suspend' in judgement ? judgement.suspend : 'accept', expect);
      if (message !== undefined) assert.match('message' in judgement ? judgement.message : '', message);
    });
});
