import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { configSchema } from '../../src/config/schema.ts';
import { authoritiesOf } from '../../src/partner/authorities.ts';
import { decode, decodeSync, type Signer, type Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import {
  type OpensslCertificate,
  opensslAnswer,
  opensslBundle,
  opensslIssue,
  opensslList,
} from '../support/openssl-ca.ts';
import { startWeb, type Web } from '../support/web.ts';
import { openssl, skipWithout, textEntity } from '../support/world.ts';

const skip = skipWithout('openssl');
const folder = mkdtempSync(join(tmpdir(), 'sealpost-issuers-'));
after(() => rmSync(folder, { recursive: true }));

/** The settings `trust` with their defaults. */
function settings(trust: Record<string, unknown>) {
  return configSchema.parse({ dataDir: folder, trust }).trust;
}

/** A certs-only CMS in BER with lengths that are not told beforehand, as RFC 5280 section 4.2.2.1 allows. */
function berBundle(...certificates: OpensslCertificate[]): Buffer {
  const open = (octet: number) => Buffer.from([octet, 0x80]);
  const end = Buffer.alloc(2);
  return Buffer.concat([
    ...[open(0x30), der.oid(oids.signedData), open(0xa0), open(0x30), der.integer(1), der.set()],
    ...[open(0x30), der.oid(oids.data), end, open(0xa0)],
    ...certificates.map(({ certificate }) => certificate.der),
    ...[end, der.set(), end, end, end],
  ]);
}

describe('issuers from the addresses in certificates', { skip }, () => {
  let web: Web;
  let root: OpensslCertificate;
  let middle: OpensslCertificate;
  let low: OpensslCertificate;

  before(async () => {
    web = await startWeb();
    root = opensslIssue(folder, 'Root');
    middle = opensslIssue(folder, 'Middle', { issuer: root });
    low = opensslIssue(folder, 'Low', {
      issuer: middle,
      access: [`caIssuers;URI:${web.url('/middle.p7c')}`],
    });
  });
  after(() => web?.close());

  const signerAt = (path: string, issuer: OpensslCertificate, more: string[] = []) =>
    opensslIssue(folder, 'Signer', {
      issuer,
      email: 'signer@example.com',
      access: [`caIssuers;URI:${web.url(path)}`, ...more],
    });

  /** A message of a signer who brings no certificate along but its own. */
  function signedBy({ certFile, keyFile }: OpensslCertificate, ...args: string[]): Buffer {
    const message = ['cms', '-sign', '-nodetach', '-signer', certFile, '-inkey', keyFile, ...args];
    return openssl(message, textEntity('by whom?'));
  }

  const allowed = () => ({ fetch: true, hosts: [web.host], allowPrivate: true, timeout: '30s' });
  const askers = (aia: Record<string, unknown> = {}, revocation: Record<string, unknown> = {}) =>
    authoritiesOf(settings({ aia: { ...allowed(), ...aia }, revocation })) ?? (() => ({}));

  async function judge(
    message: Buffer,
    ask = askers(),
    now = new Date(),
  ): Promise<{ verdict: Verdict; signer: Signer }> {
    const trust = { anchors: [root.certificate], ...ask(now) };
    const { verdict } = await decode(message, { identities: [], at: new Date(), trust });
    verdictSchema.parse(verdict);
    return { verdict, signer: signerOf(verdict) };
  }

  function signerOf(verdict: Verdict): Signer {
    const [first] = verdict.layers.flatMap((layer) => ('signers' in layer ? layer.signers : []));
    assert.ok(first);
    return first;
  }

  it('fetches a certificate in DER, and keeps it for a day', async () => {
    const signer = signerAt('/middle.cer', middle);
    web.answers.set('/middle.cer', middle.certificate.der);
    const ask = askers();
    const { verdict, signer: found } = await judge(signedBy(signer), ask);
    assert.equal(found.reason, null, found.message ?? '');
    assert.deepEqual(
      found.chain.map(({ subject }) => subject),
      ['CN=Signer', 'CN=Middle', 'CN=Root'],
    );
    assert.deepEqual([verdict.signature, verdict.integrity, found.message], ['valid', 'signed', null]);
    const requests = () => web.asked.filter((path) => path === '/middle.cer').length;
    await judge(signedBy(signer), ask);
    assert.equal(requests(), 1);
    await judge(signedBy(signer), ask, new Date(Date.now() + 25 * 3_600_000));
    assert.equal(requests(), 2);
  });

  for (const [form, bundle] of [
    ['DER', opensslBundle],
    ['BER', berBundle],
  ] as const) {
    it(`fetches issuers one above the other, the second as certs-only CMS in ${form}`, async () => {
      web.answers.set('/low.cer', low.certificate.der);
      web.answers.set('/middle.p7c', bundle(root, middle));
      const { signer } = await judge(signedBy(signerAt('/low.cer', low)));
      assert.equal(signer.reason, null, signer.message ?? '');
      assert.equal(signer.chain.length, 4);
    });
  }

  it('asks only for what is missing, where the message brings the rest', async () => {
    web.answers.set('/middle.p7c', opensslBundle(middle));
    const before = web.asked.length;
    const message = signedBy(signerAt('/never.cer', low), '-certfile', low.certFile);
    const { signer } = await judge(message);
    assert.equal(signer.reason, null, signer.message ?? '');
    assert.deepEqual(web.asked.slice(before), ['/middle.p7c']);
  });

  it('says in the verdict what is missing and where it may be had, when nobody is asked', async () => {
    const message = signedBy(signerAt('/low.cer', low), '-certfile', low.certFile);
    const before = web.asked.length;
    const options = { identities: [], at: new Date(), trust: { anchors: [root.certificate] } };
    const waits = await judge(message, askers({ fetch: false }));
    for (const verdict of [decodeSync(message, options).verdict, waits.verdict]) {
      const { trusted, reason, message: words } = signerOf(verdict);
      assert.deepEqual([trusted, reason, verdict.signature], [false, 'no-path', 'untrusted']);
      assert.equal(
        words,
        '"CN=Signer": no chain leads to a trusted root; its issuer is "CN=Low"; "CN=Middle", who issued "CN=Low", ' +
          `is missing; AIA address ${web.url('/middle.p7c')} not used: fetching of issuers is turned off`,
      );
    }
    const elsewhere = await judge(message, askers({ hosts: ['pki.example.com'] }));
    assert.match(
      elsewhere.signer.message ?? '',
      /middle\.p7c not used: its host is not in trust\.aia\.hosts$/,
    );
    const inside = await judge(message, askers({ allowPrivate: false }));
    assert.match(inside.signer.message ?? '', /not used: the address is not public$/);
    const without = await judge(
      signedBy(opensslIssue(folder, 'No', { issuer: low, email: 'a@example.com' })),
    );
    assert.match(without.signer.message ?? '', /no http address \(AIA\) says where to get that issuer$/);
    assert.equal(web.asked.length, before);
  });

  it('takes no namesake for the issuer, fetched or brought along', async () => {
    const namesake = opensslIssue(folder, 'Middle', { issuer: root });
    const signer = signerAt('/namesake.cer', middle);
    web.answers.set('/namesake.cer', namesake.certificate.der);
    const fooled = await judge(signedBy(signer));
    assert.deepEqual([fooled.signer.trusted, fooled.signer.reason], [false, 'signature-invalid']);
    web.answers.set('/namesake.cer', middle.certificate.der);
    const { signer: found } = await judge(signedBy(signer, '-certfile', namesake.certFile));
    assert.equal(found.reason, null, found.message ?? '');
  });

  it('trusts no root that it fetched', async () => {
    const stranger = opensslIssue(folder, 'Stranger');
    web.answers.set('/stranger.cer', stranger.certificate.der);
    const { signer } = await judge(signedBy(signerAt('/stranger.cer', stranger)));
    assert.deepEqual([signer.trusted, signer.reason], [false, 'no-path']);
  });

  it('says what an answer lacked', async () => {
    const redirect = (_: Buffer, response: ServerResponse) => {
      response.writeHead(302, { Location: web.url('/middle.cer') });
      return Buffer.alloc(0);
    };
    for (const [path, answer, words] of [
      ['/gone.cer', undefined, /gone\.cer not used: the answer was 404$/],
      ['/moved.cer', redirect, /the answer was 302$/],
      ['/rubbish.cer', Buffer.from('<html>'), /there is no certificate in it$/],
      ['/large.cer', Buffer.alloc(300 * 1024), /the answer has more than 262144 octets$/],
      ['/silent.cer', () => undefined, /no answer within 300 ms$/],
    ] as const) {
      if (answer !== undefined) web.answers.set(path, answer);
      const { signer } = await judge(
        signedBy(signerAt(path, middle)),
        askers(path === '/silent.cer' ? { timeout: '300ms' } : {}),
      );
      assert.equal(signer.reason, 'no-path');
      assert.match(signer.message ?? '', words);
    }
  });

  it('climbs no higher than four issuers, and asks eight addresses for one message', async () => {
    let issuer = root;
    const path = (step: number) => `/step${step}.cer`;
    for (let step = 6; step > 0; step--) {
      const access = [`caIssuers;URI:${web.url(path(step + 1))}`];
      issuer = opensslIssue(folder, `Step ${step}`, { issuer, access });
      web.answers.set(path(step), issuer.certificate.der);
    }
    const before = web.asked.length;
    const { signer } = await judge(signedBy(signerAt(path(1), issuer)));
    assert.equal(signer.reason, 'no-path');
    assert.deepEqual(web.asked.slice(before), [1, 2, 3, 4].map(path));

    // three addresses each, for four signers of one message
    const signers = [1, 2, 3, 4].map((each) => {
      const more = [2, 3].map((n) => `caIssuers;URI:${web.url(`/${each}-${n}.cer`)}`);
      return signerAt(`/${each}-1.cer`, middle, more);
    });
    const args = signers
      .slice(1)
      .flatMap(({ certFile, keyFile }) => ['-signer', certFile, '-inkey', keyFile]);
    const [first] = signers;
    assert.ok(first);
    const many = web.asked.length;
    const { verdict } = await judge(signedBy(first, ...args));
    assert.equal(verdict.signature, 'untrusted');
    assert.equal(web.asked.length - many, 8);
    assert.match(JSON.stringify(verdict.layers), /more addresses than may be contacted for one message/);
  });

  it('asks nothing for a signature that does not hold', async () => {
    const message = signedBy(signerAt('/middle.cer', middle), '-outform', 'DER');
    const at = message.indexOf('by whom?');
    message.write('by WHOM?', at);
    const before = web.asked.length;
    const { verdict } = await judge(message);
    assert.deepEqual([verdict.signature, web.asked.length], ['invalid', before]);
  });

  it('looks a signer up with the issuer that was fetched: responder and list', async () => {
    const lists = opensslIssue(folder, 'Listed', { issuer: root, crl: web.url('/root.crl') });
    web.answers.set('/listed.cer', lists.certificate.der);
    web.answers.set('/root.crl', () => opensslList(folder, root));
    const both = ['1', '2'].map((n) => signerAt('/listed.cer', lists, [`OCSP;URI:${web.url(`/ocsp${n}`)}`]));
    const [good, revoked] = both;
    assert.ok(good && revoked);
    const answer = (body: Buffer) => opensslAnswer(folder, body, lists, { good: [good], revoked: [revoked] });
    for (const path of ['/ocsp1', '/ocsp2']) web.answers.set(path, answer);
    const ask = askers({}, { mode: 'hard', hosts: [web.host], allowPrivate: true });
    const first = await judge(signedBy(good), ask);
    assert.equal(first.signer.reason, null, first.signer.message ?? '');
    assert.deepEqual([first.verdict.integrity, first.signer.revocation.status], ['signed', 'good']);
    const second = await judge(signedBy(revoked), ask);
    assert.deepEqual(
      [second.verdict.signature, second.verdict.integrity, second.signer.reason],
      ['untrusted', 'none', 'revoked'],
    );
  });

  it('marks what makes the fetched path weak', async () => {
    const weak = opensslIssue(folder, 'Weak', { issuer: root, digest: 'sha1' });
    web.answers.set('/weak.cer', weak.certificate.der);
    const { verdict, signer } = await judge(signedBy(signerAt('/weak.cer', weak)));
    assert.equal(signer.reason, null, signer.message ?? '');
    assert.deepEqual(verdict.layers[0]?.weak, ['a certificate is signed with SHA-1']);
  });
});
