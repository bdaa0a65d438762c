import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PartnerTrust } from '../../src/config/index.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { senderOf } from '../../src/partner/sender.ts';
import { authorsOf, partnersOf } from './support.ts';

const partners = partnersOf(`
  - { name: acme, addresses: ["@acme.example", orders@acme.example, Sales@big.example] }
  - { name: acme-bills, addresses: [bills@acme.example] }
  - { name: big, addresses: ["@big.example", sales@big.example] }
  - { name: buecher, addresses: ["@Bücher.example"] }
`);
const certificates = new Map([
  ['acme', [{ thumbprint: 'aa' }, { thumbprint: 'dd' }]],
  ['acme-bills', [{ thumbprint: 'AA' }]],
  ['big', [{ thumbprint: 'bb' }]],
]);
const directory = new PartnerDirectory(partners, certificates);

describe('byAddress', () => {
  for (const [address, name, why] of [
    ['orders@acme.example', 'acme', 'the exact address'],
    ['anybody@ACME.Example', 'acme', 'the domain, which has no case'],
    ['bills@acme.example', 'acme-bills', 'an address counts more than a domain'],
    ['Bills@Acme.example', 'acme-bills', 'also in another case'],
    ['sales@big.example', 'big', 'the exact case counts more'],
    ['Sales@big.example', 'acme', 'the exact case counts more'],
    ['SALES@big.example', 'acme', 'any other case goes to the first one'],
    ['a@xn--bcher-kva.example', 'buecher', 'A-labels and U-labels are one domain'],
    ['a@sub.acme.example', undefined, 'a sub-domain is another domain'],
    ['a@xacme.example', undefined, 'no part of a label'],
    ['acme.example', undefined, 'no address'],
    ['postmaster', undefined, 'postmaster is nobody'],
    ['', undefined, 'the null sender is nobody'],
    ['orders@acme.example\r\n', undefined, 'a line end makes it no address'],
  ] as const)
    it(`${JSON.stringify(address)}: ${why}`, () => assert.equal(directory.byAddress(address)?.name, name));
});

describe('senderOf', () => {
  const of = (signers: string[], from: string[]) => {
    const facts = signers.map((thumbprint) => ({ thumbprint, emails: [], valid: true, trusted: true }));
    const { partner, by, fault } = senderOf(directory, authorsOf(`From: ${from.join(', ')}`), facts);
    return [partner?.name, by, fault?.code];
  };
  it('goes by the signer first', () => {
    assert.deepEqual(of(['bb'], ['a@big.example']), ['big', 'signature', undefined]);
    assert.deepEqual(of(['cc', 'BB'], ['a@big.example']), ['big', 'signature', undefined]);
  });
  it('goes by the address when no signer is known', () => {
    assert.deepEqual(of(['cc'], ['orders@acme.example']), ['acme', 'address', undefined]);
    assert.deepEqual(of([], ['orders@acme.example', 'x@acme.example']), ['acme', 'address', undefined]);
  });
  it('takes addresses for nobody where they are of two', () => {
    assert.deepEqual(of([], ['x@unknown.example', 'orders@acme.example']), [
      undefined,
      'conflict',
      'policy-refused',
    ]);
    assert.deepEqual(of([], ['bills@acme.example', 'orders@acme.example']), [
      undefined,
      'conflict',
      'policy-refused',
    ]);
  });
  it('lets the address choose among partners with one certificate', () => {
    assert.deepEqual(of(['aa'], ['bills@acme.example']), ['acme-bills', 'signature', undefined]);
    assert.deepEqual(of(['aa'], ['orders@acme.example']), ['acme', 'signature', undefined]);
  });
  it('takes a shared certificate for nobody where the address does not say whose it is', () => {
    for (const from of [
      ['x@unknown.example'],
      ['a@big.example'],
      ['x@unknown.example', 'a@big.example'],
      ['bills@acme.example', 'orders@acme.example'],
    ])
      assert.deepEqual(of(['aa'], from), [undefined, 'conflict', 'policy-refused'], from.join());
    const signer = { thumbprint: 'aa', emails: [], valid: true, trusted: true };
    const { claimed, fault } = senderOf(directory, authorsOf('From: x@unknown.example'), [signer]);
    assert.deepEqual(
      claimed.map(({ name }) => name),
      ['acme', 'acme-bills'],
      'the requirements of both count',
    );
    assert.match(
      fault?.message ?? '',
      /one of partners acme and acme-bills, and its From field does not say which/,
    );
    // beside the certificate of one of them, or of somebody else
    assert.deepEqual(of(['aa', 'dd'], ['x@unknown.example']), [undefined, 'conflict', 'policy-refused']);
    assert.deepEqual(of(['bb', 'aa'], ['a@big.example']), ['big', 'conflict', 'policy-refused']);
  });
  it('says when signer and address are two, and when two partners sign', () => {
    assert.deepEqual(of(['bb'], ['orders@acme.example']), ['big', 'conflict', 'policy-refused']);
    assert.deepEqual(of(['bb'], ['x@unknown.example']), ['big', 'conflict', 'policy-refused']);
    assert.deepEqual(of(['bb', 'dd'], ['a@big.example']), ['big', 'conflict', 'policy-refused']);
    assert.deepEqual(of(['dd', 'bb'], ['a@big.example']), ['acme', 'conflict', 'policy-refused']);
    assert.deepEqual(of(['dd', 'aa'], ['orders@acme.example']), ['acme', 'signature', undefined]);
  });
  it('believes a signer only when its signature is valid, and its addresses only when it is trusted, too', () => {
    const facts = { thumbprint: 'bb', emails: [], valid: true, trusted: true };
    const by = (signer: typeof facts) => senderOf(directory, authorsOf('From: a@big.example'), [signer]).by;
    assert.equal(by(facts), 'signature');
    assert.equal(by({ ...facts, trusted: false }), 'address', 'the certificate has ended');
    assert.equal(by({ ...facts, valid: false }), 'address');
    const stranger = { thumbprint: 'ff', emails: ['a@big.example'] };
    for (const valid of [true, false])
      for (const trusted of [true, false]) {
        const signers = [{ ...stranger, valid, trusted }];
        const { fault } = senderOf(directory, authorsOf('From: orders@acme.example'), signers);
        assert.equal(fault?.code, valid && trusted ? 'policy-refused' : undefined, `${valid} ${trusted}`);
      }
  });
  it('takes a trusted certificate for the partner whose address From names and it contains', () => {
    const by = (from: string, emails: string[], more = {}) => {
      const signer = { thumbprint: 'ff', valid: true, trusted: true, emails, ...more };
      const found = senderOf(directory, authorsOf(`From: ${from}`), [signer]);
      return [found.partner?.name, found.by];
    };
    assert.deepEqual(by('a@big.example', ['b@big.example']), ['big', 'signature']);
    assert.deepEqual(by('a@big.example', ['b@big.example'], { trusted: false }), ['big', 'address']);
    assert.deepEqual(by('a@big.example', ['b@big.example'], { valid: false }), ['big', 'address']);
    assert.deepEqual(by('a@big.example', ['b@unknown.example']), ['big', 'address']);
    assert.deepEqual(by('a@big.example', ['b@acme.example']), [undefined, 'conflict']);
    assert.deepEqual(by('x@unknown.example', ['b@big.example']), [undefined, undefined]);
  });
  it('narrow-trust: takes for proof what the partner says, and nothing else', () => {
    const [leaf, root, other] = [{ thumbprint: 'bb' }, { thumbprint: 'root' }, { thumbprint: 'other' }];
    const pinned = { thumbprint: 'bb', emails: [], chain: [leaf] };
    const led = (to: typeof root, thumbprint = 'ff') => ({
      ...{ thumbprint, emails: ['b@big.example'], chain: [{ thumbprint }, to] },
    });
    const signers = {
      pinned,
      'named root': led(root),
      'other root': led(other),
      'pin that has ended': led(other, 'bb'),
      'pin of another partner': {
        thumbprint: 'ff',
        emails: ['b@big.example'],
        chain: [{ thumbprint: 'ff' }],
      },
    };
    const proofs = (trust: PartnerTrust | undefined) => {
      const known = trust === undefined ? [] : [['big', trust] as const];
      const narrow = new PartnerDirectory(partners, certificates, new Map(known));
      return Object.entries(signers)
        .filter(([, signer]) => {
          const signed = [{ ...signer, valid: true, trusted: true }];
          return senderOf(narrow, authorsOf('From: a@big.example'), signed).by === 'signature';
        })
        .map(([name]) => name);
    };
    const all = Object.keys(signers);
    const [none, named] = [new Set<string>(), new Set(['root'])];
    assert.deepEqual(proofs(undefined), all);
    assert.deepEqual(proofs({ by: 'pins', anchors: none }), ['pinned']);
    assert.deepEqual(proofs({ by: 'both', anchors: named }), ['pinned', 'named root']);
    assert.deepEqual(proofs({ by: 'anchors', anchors: named }), ['named root']);
    assert.deepEqual(proofs({ by: 'anchors', anchors: none }), all.slice(1, 4));
  });
  it('sees a conflict in a Sender of a partner, and in fields that cannot be read beside a signature', () => {
    const by = (lines: string[], thumbprint = 'cc') => {
      const signer = { thumbprint, valid: true, trusted: true, emails: [] };
      const found = senderOf(directory, authorsOf(...lines), [signer]);
      return [found.partner?.name, found.by];
    };
    assert.deepEqual(by(['From: x@unknown.example', 'Sender: a@big.example']), [undefined, 'conflict']);
    assert.deepEqual(by(['From: x@unknown.example', 'Sender: y@unknown.example']), [undefined, undefined]);
    assert.deepEqual(by(['X: y'], 'bb'), ['big', 'conflict']);
    assert.deepEqual(by(['X: y']), [undefined, undefined]);
  });
  it('knows nobody', () =>
    assert.deepEqual(of(['cc'], ['x@unknown.example']), [undefined, undefined, undefined]));
});
