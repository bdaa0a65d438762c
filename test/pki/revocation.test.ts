import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import {
  type Certificate,
  encodeOcspRequest,
  type FetchKind,
  IssuerSearch,
  type PathOptions,
  parseOcspResponse,
  RevocationCache,
  type RevocationOptions,
  validatePath,
  validateWithRevocation,
} from '../../src/pki/index.ts';
import { createTestCa, type Issued, type TestCa, type TestExtension } from '../support/ca.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-ocsp-'));
after(() => rmSync(folder, { recursive: true }));

// openssl answers with the present, so the tests live in it.
const now = new Date();
const root = createTestCa('Root');
const sub = root.issueCa('Sub');

const uri = (url: string) => der.implicit(6, false, Buffer.from(url));

function listAt(...urls: string[]): TestExtension {
  const point = der.sequence(der.explicit(0, der.implicit(0, true, ...urls.map(uri))));
  return { oid: oids.cRLDistributionPoints, value: der.sequence(point) };
}

function access(method: 'ocsp' | 'caIssuers', url: string): TestExtension {
  return {
    oid: oids.authorityInfoAccess,
    value: der.sequence(der.sequence(der.oid(oids[method]), uri(url))),
  };
}

/** An answer of `openssl ocsp` about a certificate. */
function ask(
  request: Buffer,
  options: { ca?: TestCa; signer?: Issued; good?: Certificate[]; revoked?: Certificate[] },
): Buffer {
  const { ca = sub, signer = ca, good = [], revoked = [] } = options;
  const lines = [
    ...good.map(({ serialHex }) => `V\t400101000000Z\t\t${serialHex.toUpperCase()}\tunknown\t/CN=x`),
    ...revoked.map(
      ({ serialHex }) =>
        `R\t400101000000Z\t260101000000Z,keyCompromise\t${serialHex.toUpperCase()}\tunknown\t/CN=x`,
    ),
  ];
  const write = (name: string, data: string | Buffer) => writeFileSync(join(folder, name), data);
  write('index.txt', lines.map((line) => `${line}\n`).join(''));
  write('ca.pem', ca.pem);
  write('signer.pem', signer.certPem);
  write('signer.key', signer.keyPem);
  write('request.der', request);
  const files = ['-index', 'index.txt', '-CA', 'ca.pem', '-rsigner', 'signer.pem', '-rkey', 'signer.key'];
  execFileSync(
    'openssl',
    ['ocsp', ...files, '-reqin', 'request.der', '-respout', 'answer.der', '-ndays', '1'],
    {
      cwd: folder,
      stdio: 'ignore',
    },
  );
  return readFileSync(join(folder, 'answer.der'));
}

const leaf = sub.issue({ commonName: 'Leaf' }).certificate;
const base: PathOptions & { revocation: 'hard' } = {
  anchors: [root.certificate],
  intermediates: [sub.certificate],
  at: now,
  purpose: 'sign',
  revocation: 'hard',
};

/** Status of the leaf by one answer; that of the issuer is unknown. */
function statusBy(answer: Buffer, options: Partial<PathOptions> = {}) {
  const result = validatePath(leaf, {
    ...base,
    revocation: 'soft',
    ocsp: [parseOcspResponse(answer)],
    ...options,
  });
  return result.reason ?? result.revocation[0]?.status;
}

describe('OCSP', () => {
  const request = encodeOcspRequest(leaf, sub.certificate);

  it('takes answers that openssl signs with the key of the issuer', () => {
    assert.equal(statusBy(ask(request, { good: [leaf] })), 'good');
    assert.equal(statusBy(ask(request, { revoked: [leaf] })), 'revoked');
    assert.equal(statusBy(ask(request, {})), 'unknown');
  });

  it('says since when and why', () => {
    const ocsp = [parseOcspResponse(ask(request, { revoked: [leaf] }))];
    const [status] = validatePath(leaf, { ...base, ocsp }).revocation;
    assert.equal(status?.revokedAt?.toISOString(), '2026-01-01T00:00:00.000Z');
    assert.equal(status?.crlReason, 'keyCompromise');
    assert.equal(status?.source, 'ocsp');
  });

  it('takes answers of a responder that the issuer has certified, and of no other', () => {
    const forOcsp = { commonName: 'Responder', eku: [oids.ocspSigning] };
    const answer = (signer: Issued) => statusBy(ask(request, { signer, revoked: [leaf] }));
    assert.equal(answer(sub.issue(forOcsp)), 'revoked');
    assert.equal(answer(sub.issue({ commonName: 'Responder' })), 'unknown');
    assert.equal(answer(root.issue(forOcsp)), 'unknown');
    assert.equal(answer(sub.issue({ ...forOcsp, notAfter: new Date('2025-01-01T00:00:00Z') })), 'unknown');
    assert.equal(answer(createTestCa('Sub')), 'unknown');
  });

  it('takes no answer that is changed, out of date, or about another', () => {
    const good = ask(request, { good: [leaf] });
    const changed = Buffer.from(good);
    // The signature is a view of the octets, so this finds its place in them.
    const { signature } = parseOcspResponse(changed);
    signature[40] = (signature[40] ?? 0) ^ 1;
    assert.equal(statusBy(changed), 'unknown');
    assert.equal(statusBy(good, { revocationAt: new Date(now.getTime() + 3 * 86_400_000) }), 'unknown');
    assert.equal(statusBy(good, { revocationAt: new Date(now.getTime() - 3_600_000) }), 'unknown');
    const other = sub.issue().certificate;
    assert.equal(statusBy(ask(encodeOcspRequest(other, sub.certificate), { good: [other] })), 'unknown');
  });

  it('refuses what is not an answer', () => {
    for (const octets of [[], [0x30, 3, 10, 1, 6], [...leaf.der]]) {
      assert.throws(() => parseOcspResponse(Buffer.from(octets)), { code: 'certificate-malformed' });
    }
  });
});

/** A fetcher that answers from a table and writes down what it was asked. */
function fetcherOf(answers: Record<string, (body: Buffer | undefined) => Buffer>) {
  const asked: { kind: FetchKind; url: string }[] = [];
  const fetch: RevocationOptions['fetch'] = async ({ kind, url, body }) => {
    asked.push({ kind, url });
    const answer = answers[url];
    if (answer === undefined) throw new Error('not found');
    return answer(body);
  };
  return { asked, fetch };
}

describe('fetching for revocation', () => {
  const lists = {
    'http://pki.test/root.crl': () => root.crl(),
    'http://pki.test/sub.crl': () => listed.crl(),
    'http://pki.test/other.crl': () => listed.crl({ revoked: [revoked.certificate] }),
  };
  const listed = root.issueCa('Listed', { extensions: [listAt('http://pki.test/root.crl')] });
  const good = listed.issue({
    extensions: [listAt('ldap://pki.test/x', 'http://pki.test/gone.crl', 'http://pki.test/sub.crl')],
  });
  const revoked = listed.issue({ extensions: [listAt('http://pki.test/other.crl')] });
  const options = { ...base, intermediates: [listed.certificate] };

  it('gets lists, the next address where one fails, and keeps them for a time', async () => {
    const { asked, fetch } = fetcherOf(lists);
    const cache = new RevocationCache();
    const result = await validateWithRevocation(good.certificate, options, { fetch, cache, now });
    assert.equal(result.reason, null, result.message);
    assert.deepEqual(result.failures, [{ url: 'http://pki.test/gone.crl', message: 'not found' }]);
    assert.deepEqual(asked.map(({ url }) => url).sort(), [
      'http://pki.test/gone.crl',
      'http://pki.test/root.crl',
      'http://pki.test/sub.crl',
    ]);
    await validateWithRevocation(good.certificate, options, { fetch, cache, now });
    assert.equal(asked.length, 3, 'the failure is kept as well');
    const tomorrow = new Date(now.getTime() + 25 * 3_600_000);
    await validateWithRevocation(good.certificate, options, { fetch, cache, now: tomorrow });
    assert.equal(asked.length, 6);
  });

  it('shares one request among those who ask at once', async () => {
    const { asked, fetch } = fetcherOf(lists);
    const cache = new RevocationCache();
    const validate = () => validateWithRevocation(revoked.certificate, options, { fetch, cache, now });
    const results = await Promise.all([validate(), validate(), validate()]);
    assert.deepEqual(
      results.map(({ reason }) => reason),
      ['revoked', 'revoked', 'revoked'],
    );
    assert.equal(asked.length, 2);
  });

  it('asks responders first', async () => {
    const issuer = root.issueCa('Ocsp', { extensions: [listAt('http://pki.test/root.crl')] });
    const subject = issuer.issue({
      extensions: [access('ocsp', 'http://ocsp.test/'), listAt('http://pki.test/never.crl')],
    }).certificate;
    const { asked, fetch } = fetcherOf({
      ...lists,
      'http://ocsp.test/': (body) => ask(body ?? Buffer.alloc(0), { ca: issuer, revoked: [subject] }),
    });
    const result = await validateWithRevocation(
      subject,
      { ...base, intermediates: [issuer.certificate] },
      { fetch, cache: new RevocationCache(), now },
    );
    assert.equal(result.reason, 'revoked', result.message);
    assert.deepEqual(asked.map(({ url }) => url).sort(), ['http://ocsp.test/', 'http://pki.test/root.crl']);
  });

  it('never asks anything but http and https, nor for a path that is not trusted', async () => {
    const { asked, fetch } = fetcherOf({});
    const urls = ['ldap://pki.test/x', 'file:///etc/passwd', 'ftp://pki.test/x', 'gopher://x/', 'no address'];
    const subject = sub.issue({
      extensions: [listAt(...urls), access('ocsp', 'file:///etc/passwd')],
    }).certificate;
    const cache = new RevocationCache();
    const hard = await validateWithRevocation(subject, base, { fetch, cache, now });
    assert.equal(hard.reason, 'revocation-unknown');
    const stranger = createTestCa('Stranger').issue({
      extensions: [listAt('http://evil.test/')],
    }).certificate;
    await validateWithRevocation(stranger, base, { fetch, cache, now });
    assert.deepEqual(asked, []);
  });

  it('takes an extension that cannot be read for none', async () => {
    const { fetch } = fetcherOf({});
    const rubbish = [oids.cRLDistributionPoints, oids.authorityInfoAccess, oids.freshestCRL];
    const extensions = rubbish.map((oid) => ({ oid, value: Buffer.from([1, 2, 3]) }));
    const subject = sub.issue({ extensions }).certificate;
    const options: RevocationOptions = { fetch, cache: new RevocationCache(), now };
    const result = await validateWithRevocation(subject, base, options);
    assert.equal(result.reason, 'revocation-unknown');
    const search = new IssuerSearch(options);
    const lost = await search.complete(subject, { ...base, intermediates: [] });
    assert.deepEqual([lost.result.reason, lost.fetched, lost.failures], ['no-path', [], []]);
  });

  it('bounds the requests for one message', async () => {
    const { asked, fetch } = fetcherOf({});
    const urls = Array.from({ length: 100 }, (_, index) => `http://pki.test/${index}.crl`);
    const points = urls.map((url) => der.sequence(der.explicit(0, der.implicit(0, true, uri(url)))));
    const many = { oid: oids.cRLDistributionPoints, value: der.sequence(...points) };
    const subject = sub.issue({ extensions: [many] }).certificate;
    const cache = new RevocationCache();
    const result = await validateWithRevocation(
      subject,
      { ...base, revocation: 'soft' },
      { fetch, cache, now },
    );
    assert.ok(result.trusted);
    assert.deepEqual(result.weak, ['revocation-unknown']);
    assert.equal(asked.length, 20);
  });
});
