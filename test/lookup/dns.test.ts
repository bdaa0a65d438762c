import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import { implicit, sequence } from '../../src/asn1/writer.ts';
import { smimeaName } from '../../src/lookup/dns.ts';
import { Lookups } from '../../src/lookup/index.ts';
import { parseMailbox } from '../../src/message/index.ts';
import type { Certificate } from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';
import { rememberedValues } from './remembered.ts';

const ca = createTestCa();
const certificateOf = (email: string) => ca.issue({ email }).certificate;
/** Name of the records of a local part, relative to the zone. */
const labelOf = (local: string, zone = 'signed.test') =>
  smimeaName(parseMailbox(`${local}@${zone}`, { utf8: true })).replace(`.${zone}`, '');
const record = (local: string, head: string, octets: Buffer, zone?: string) =>
  `${labelOf(local, zone)} IN TYPE53 \\# ${octets.length + head.length / 2} ${head}${octets.toString('hex')}`;
const certRecord = (name: string, type: number, octets: Buffer) =>
  `${name} IN CERT ${type} 0 0 ${octets.toString('base64')}`;

describe('certificates from DNS', { skip: skipWithoutUnbound() }, () => {
  const alice = certificateOf('alice@signed.test');
  const foreign = certificateOf('alice@other.test');
  const plain = certificateOf('alice@plain.test');
  const forged = certificateOf('alice@forged.test');
  const direct = certificateOf('direct@signed.test');
  const whole = ca.issue({
    commonName: 'signed.test',
    extensions: [
      { oid: oids.subjectAltName, value: sequence(implicit(2, false, Buffer.from('signed.test'))) },
    ],
  }).certificate;
  let unbound: Unbound;
  before(async () => {
    const digest = createHash('sha256').update(alice.der).digest();
    unbound = await startUnbound([
      {
        ...{ name: 'signed.test', signed: true },
        records: [
          record('alice', '030000', alice.der),
          record('alice', '030000', foreign.der),
          record('digest', '030001', digest),
          record('key', '030100', alice.spki),
          record('authority', '020000', ca.certificate.der),
          certRecord('direct', 1, direct.der),
          certRecord('url', 4, Buffer.from('http://127.0.0.1/cert')),
          certRecord('@', 1, whole.der),
        ],
      },
      { name: 'plain.test', signed: false, records: [record('alice', '030000', plain.der, 'plain.test')] },
      {
        ...{ name: 'forged.test', signed: true },
        records: [record('alice', '030000', forged.der, 'forged.test')],
        forge: [new RegExp(forged.der.subarray(-4).toString('hex'), 'gi'), '00000000'],
      },
    ]);
  });
  after(() => unbound?.stop());

  const ask = async (address: string, kind: 'smimea' | 'cert') => {
    const dns = unbound.dns();
    const lookups = new Lookups({
      ...{ directories: [{ name: 'd', kind }], dns, kept: rememberedValues(), life: 1000, now: Date.now },
    });
    const { found, refused, failed } = await lookups.ask(address, ['d']);
    dns.close();
    return {
      found: found.map(({ certificate }) => certificate.thumbprint),
      refused,
      failed: failed.map(({ error }) => `${error.code}: ${error.message}`),
    };
  };
  const only = (certificate: Certificate) => [certificate.thumbprint];

  it('SMIMEA: the name is 28 octets of the SHA-256 of the local part as it is written', () => {
    // RFC 8162 section 3 has this example.
    assert.equal(
      smimeaName(parseMailbox('hugh@example.com')),
      'c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com',
    );
    assert.notEqual(
      smimeaName(parseMailbox('Hugh@example.com')),
      smimeaName(parseMailbox('hugh@example.com')),
    );
  });

  it('SMIMEA: a signed record of the address is found, and one of another address is refused', async () => {
    const { found, refused, failed } = await ask('alice@signed.test', 'smimea');
    assert.deepEqual([found, failed], [only(alice), []]);
    assert.match(refused.join(), /does not name the address/);
  });

  it('SMIMEA: a digest, a key and an authority are no certificate of the address', async () => {
    for (const [local, what] of [
      ['digest', /a key or a digest/],
      ['key', /a key or a digest/],
      ['authority', /about an authority/],
    ] as const) {
      const { found, refused } = await ask(`${local}@signed.test`, 'smimea');
      assert.deepEqual(found, [], local);
      assert.match(refused.join(), what);
    }
  });

  it('SMIMEA: without a signature of the zone, or with a forged one, there is nothing', async () => {
    const unsigned = await ask('alice@plain.test', 'smimea');
    assert.deepEqual(unsigned.found, []);
    assert.match(unsigned.failed.join(), /lookup-failed: .*not signed/);
    const changed = await ask('alice@forged.test', 'smimea');
    assert.deepEqual(changed.found, []);
    assert.match(changed.failed.join(), /lookup-failed: .*SERVFAIL/);
  });

  it('CERT: of the address, else of its whole domain', async () => {
    assert.deepEqual((await ask('direct@signed.test', 'cert')).found, only(direct));
    assert.deepEqual((await ask('anybody@signed.test', 'cert')).found, only(whole));
    assert.deepEqual((await ask('"a.b"@signed.test', 'cert')).found, only(whole));
  });

  it('CERT: a certificate of a domain is none over SMIMEA, and a URL is not fetched', async () => {
    const { refused } = await ask('url@signed.test', 'cert');
    assert.match(refused.join(), /names a URL, which is not fetched/);
  });

  it('without a resolver that validates, nothing is asked', async () => {
    const kept = rememberedValues();
    const directories = [{ name: 'd', kind: 'smimea' as const }];
    const lookups = new Lookups({ directories, dns: undefined, kept, life: 1000, now: Date.now });
    const { found, failed } = await lookups.ask('alice@signed.test', ['d']);
    assert.deepEqual([found, failed[0]?.error.code, kept.puts], [[], 'lookup-failed', 0]);
  });
});
