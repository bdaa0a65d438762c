import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { children, oids, parse, raw } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeDetachedSignature, encodeEnvelopedData } from '../../src/cms/index.ts';
import { decode, decodeReopenable, isSignatureLayer, type Verdict } from '../../src/smime/index.ts';
import type { Issued } from '../support/ca.ts';
import { alice, bob, cmsMail, multipartSigned, options } from './support.ts';

const header = 'Content-Type: application/edifact\nContent-Transfer-Encoding: binary\n\n';
const lf = Buffer.from(`${header}UNA:+.? \nUNB+UNOC:3\ra lone CR\r\nUNZ+1\n`);
/** What AS2 systems write: a MIME header with CRLF, a body as the file was. */
const mixed = Buffer.from(`${header.replaceAll('\n', '\r\n')}UNA:+.? \nUNB+UNOC:3\nUNZ+1\n`);
const crlf = (octets: Buffer) =>
  Buffer.from(octets.toString('latin1').replace(/(?<!\r)\n/g, '\r\n'), 'latin1');

const sha256 = (octets: Buffer) => createHash('sha256').update(octets).digest();

function signature(content: Buffer, signers: readonly Issued[] = [alice]): Buffer {
  return encodeDetachedSignature(new Map([['sha256', sha256(content)]]), { signers });
}

/** A mail whose first part has these octets, signed as if it had the others; `end` ends the lines around it. */
function mail(part: Buffer, signed: Buffer, end: '\n' | '\r\n'): Buffer {
  const around = multipartSigned(Buffer.from('@@'), signature(signed)).toString('latin1').split('@@');
  const [before = '', after = ''] = around.map((text) => text.replace(/\r?\n/g, end));
  return Buffer.concat([Buffer.from(before), part, Buffer.from(after)]);
}

function lineEndsOf(verdict: Verdict): (string | null)[] {
  return verdict.layers.filter(isSignatureLayer).map(({ lineEnds }) => lineEnds);
}

/** Decodes with as many runs as needed, and returns how many. */
async function decodeCounting(octets: Buffer, chunk: number = octets.length) {
  let runs = 0;
  function* open() {
    runs++;
    for (let at = 0; at < octets.length; at += chunk) yield octets.subarray(at, at + chunk);
  }
  const result = await decodeReopenable(open, options);
  return { ...result, runs };
}

const encrypted = (inside: Buffer) =>
  cmsMail(encodeEnvelopedData(inside, { recipients: [{ certificate: alice.certificate }] }));

const cases = [
  {
    title: 'signed with LF, a CRLF mail',
    part: mixed,
    signed: mixed,
    end: '\r\n',
    found: 'as-received',
    runs: 1,
  },
  { title: 'signed with LF, an LF mail', part: lf, signed: lf, end: '\n', found: 'as-received', runs: 2 },
  {
    title: 'stored with LF after it was signed',
    part: lf,
    signed: crlf(lf),
    end: '\n',
    found: 'crlf',
    runs: 1,
  },
  { title: 'half of it made LF', part: mixed, signed: crlf(mixed), end: '\r\n', found: 'crlf', runs: 2 },
  { title: 'with CRLF as it should be', part: crlf(lf), signed: crlf(lf), end: '\r\n', found: null, runs: 1 },
] as const;

/** One SignedData with the signers and certificates of two. */
function mergeSigners(one: Buffer, other: Buffer): Buffer {
  const partsOf = (object: Buffer) => {
    const [, explicit] = children(parse(object));
    assert.ok(explicit);
    const [signedData] = children(explicit);
    assert.ok(signedData);
    return children(signedData);
  };
  const [version, digests, content, certificates, signers] = partsOf(one);
  const [, , , moreCertificates, moreSigners] = partsOf(other);
  assert.ok(version && digests && content && certificates && signers && moreCertificates && moreSigners);
  const body = der.sequence(
    raw(version),
    raw(digests),
    raw(content),
    der.implicit(0, true, ...[...children(certificates), ...children(moreCertificates)].map(raw)),
    der.set(...[...children(signers), ...children(moreSigners)].map(raw)),
  );
  return der.sequence(der.oid(oids.signedData), der.explicit(0, body));
}

describe('line ends in the first part of multipart/signed', () => {
  for (const { title, part, signed, end, found, runs } of cases) {
    it(`hands on the octets that verified: ${title}`, async () => {
      const result = await decodeCounting(mail(part, signed, end));
      assert.equal(result.verdict.signature, 'valid');
      assert.deepEqual(lineEndsOf(result.verdict), [found]);
      assert.deepEqual(result.content, signed);
      assert.equal(result.runs, runs);
    });
  }

  it('is the same for chunks of any size', async () => {
    for (const { part, signed, end } of cases) {
      for (const chunk of [1, 2, 3, 7, 64]) {
        const { verdict, content } = await decodeCounting(mail(part, signed, end), chunk);
        assert.equal(verdict.signature, 'valid', `chunks of ${chunk}`);
        assert.deepEqual(content, signed);
      }
    }
  });

  it('takes what was encrypted as it is, in one run', async () => {
    const result = await decodeCounting(encrypted(mail(lf, lf, '\n')));
    assert.equal(result.verdict.signature, 'valid');
    assert.deepEqual(result.content, lf);
    assert.equal(result.runs, 1);
  });

  it('finds the form of each of two nested signatures', async () => {
    // another boundary than the one around it
    const inner = mail(lf, lf, '\n')
      .toString('latin1')
      .replace('boundary=b', 'boundary=c')
      .replaceAll('--b', '--c');
    const middle = Buffer.from(inner, 'latin1');
    const result = await decodeCounting(mail(middle, middle, '\n'));
    assert.equal(result.verdict.signature, 'valid');
    assert.deepEqual(lineEndsOf(result.verdict), ['as-received', 'as-received']);
    assert.deepEqual(result.content, lf);
  });

  it('finds the form of a signature below the message', async () => {
    const head = 'Content-Type: multipart/mixed; boundary=outer\n\n--outer\n';
    const whole = Buffer.concat([Buffer.from(head), mail(lf, lf, '\n'), Buffer.from('\n--outer--\n')]);
    const { verdict, embedded } = await decode(whole, options);
    assert.deepEqual(
      verdict.pieces.map(({ signature: word }) => word),
      ['valid'],
    );
    assert.deepEqual(embedded.get('1'), lf);
  });

  it('does not call a signature valid over octets that are not handed on', async () => {
    // a stream is read once, and the likely form for an LF mail is passed on
    async function* once() {
      yield mail(lf, lf, '\n');
    }
    const { verdict, content } = await decode(once(), options);
    assert.deepEqual(content, crlf(lf));
    assert.equal(verdict.signature, 'invalid');
  });

  it('does not take one signer over one form and another signer over the other', async () => {
    const both = (signers: readonly [Issued, Issued]) => {
      const [first, second] = signers;
      const one = signature(lf, [first]);
      const other = signature(crlf(lf), [second]);
      return mergeSigners(one, other);
    };
    for (const signers of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const octets = multipartSigned(lf, both(signers));
      const { verdict } = await decode(octets, options);
      const [layer] = verdict.layers.filter(isSignatureLayer);
      assert.equal(layer?.signers.length, 2);
      assert.equal(layer?.signers.filter(({ valid }) => valid).length, 1);
      assert.equal(verdict.signature, 'invalid');
    }
  });

  it('takes neither form when something else was changed', async () => {
    const changed = Buffer.from(lf.toString('latin1').replace('UNZ+1', 'UNZ+2'), 'latin1');
    for (const signed of [lf, crlf(lf)]) {
      const { verdict, runs } = await decodeCounting(mail(changed, signed, '\n'));
      assert.equal(verdict.signature, 'invalid');
      assert.equal(runs, 1);
    }
  });
});
