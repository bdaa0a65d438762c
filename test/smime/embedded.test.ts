import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { NullSink } from '../../src/message/index.ts';
import { Decoder, decode, decodeSync, type Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { cuts } from '../message/pushing.ts';
import { alice, bob, encrypt, noOpenssl, options, sign } from './openssl.ts';

const crlf = (text: string) => text.replace(/\r?\n/g, '\r\n');
const entity = Buffer.from(crlf('Content-Type: text/plain\n\nthe piece\n'));
const head = 'From: list@example.com\nSubject: x\nMIME-Version: 1.0\n';
const footer = '--list\nContent-Type: text/plain\n\nTo unsubscribe ...\n';

/** openssl writes a whole mail; without its MIME-Version and preamble it is a part. */
const part = (octets: Buffer) => crlf(octets.toString('latin1').replace(/^MIME-Version: 1.0\r?\n/m, ''));
const signed = part(sign(entity, ['-binary']));
const encrypted = part(encrypt(entity, []));

const listMail = (...parts: string[]) =>
  Buffer.from(
    crlf(`${head}Content-Type: multipart/mixed; boundary=list\n\n`) +
      parts.map((each) => `--list\r\n${each}\r\n`).join('') +
      crlf(`${footer}--list--\n`),
    'latin1',
  );

function decoded(mail: Buffer, change = {}): Verdict {
  const { verdict, content } = decodeSync(mail, { ...options, ...change });
  verdictSchema.parse(verdict);
  assert.equal(verdict.error, null);
  assert.deepEqual(content, mail, 'the content is the mail, with nothing taken out or put in');
  assert.deepEqual(
    [verdict.encrypted, verdict.signature, verdict.integrity, verdict.layers],
    [false, 'none', 'none', []],
  );
  return verdict;
}

const brief = ({ pieces }: Verdict) =>
  pieces.map(({ path, contentType, status, encrypted, signature }) => [
    path,
    contentType,
    status,
    encrypted,
    signature,
  ]);

describe('S/MIME parts below a multipart', { skip: noOpenssl }, () => {
  const sha256 = createHash('sha256').update(entity).digest('hex');

  it('are decoded by themselves, and the mail around them stays unprotected', () => {
    const verdict = decoded(listMail(signed, encrypted));
    assert.deepEqual(brief(verdict), [
      ['1', 'multipart/signed', 'ok', false, 'valid'],
      ['2', 'application/pkcs7-mime', 'ok', true, 'none'],
    ]);
    for (const { content } of verdict.pieces) assert.equal(content?.sha256, sha256);
  });

  it('are the same however the octets are cut', () => {
    const mail = listMail(signed, encrypted);
    const whole = decoded(mail);
    for (const { chunks } of cuts(mail, 4)) {
      const { pieces } = decodeInChunks(chunks);
      assert.deepEqual(pieces, whole.pieces);
    }
  });

  it('are found in a forwarded mail and in multiparts within multiparts', () => {
    const inner = `Content-Type: multipart/mixed; boundary=inner\r\n\r\n--inner\r\n\r\ntext\r\n--inner\r\n${encrypted}\r\n--inner--\r\n`;
    const forwarded = `Content-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\n${signed}`;
    const forwardedList = `Content-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\n${inner}`;
    assert.deepEqual(brief(decoded(listMail(inner, forwarded, forwardedList))), [
      ['1.2', 'application/pkcs7-mime', 'ok', true, 'none'],
      ['2.1', 'multipart/signed', 'ok', false, 'valid'],
      ['3.2', 'application/pkcs7-mime', 'ok', true, 'none'],
    ]);
  });

  it('fail by themselves', () => {
    const broken = signed.replace('the piece', 'another piece');
    const foreign = part(encrypt(entity, [], [bob]));
    const garbage =
      'Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIBAAAA\r\n';
    const verdict = decoded(listMail(broken, foreign, garbage, encrypted));
    assert.deepEqual(
      verdict.pieces.map(({ path, signature, error }) => [path, signature, error?.code ?? null]),
      [
        ['1', 'invalid', null],
        ['2', 'none', 'decrypt-no-key'],
        ['3', 'none', 'asn1-malformed'],
        ['4', 'none', null],
      ],
    );
  });

  it('are none when they are not S/MIME', () => {
    const pgp = signed
      .replace(/protocol="[^"]*"/, 'protocol="application/pgp-signature"')
      .replaceAll(/application\/(?:x-)?pkcs7-signature/g, 'application/pgp-signature')
      .replaceAll('smime.p7s', 'signature.asc');
    const nothing = pgp.replace('protocol="application/pgp-signature"', 'x=y');
    assert.deepEqual(decoded(listMail(pgp, nothing)).pieces, []);
  });

  it('are decoded up to a number, and one more says that there are others', () => {
    const verdict = decoded(listMail(encrypted, encrypted, encrypted, encrypted), {
      limits: { embedded: 2 },
    });
    assert.deepEqual(
      verdict.pieces.map(({ path, error }) => [path, error?.code ?? null]),
      [
        ['1', null],
        ['2', null],
        ['3', 'mime-limit'],
      ],
    );
  });

  it('are found as deep as the limit of nesting says, and not one level deeper', () => {
    const nested = (kind: 'multipart' | 'mail', levels: number): string => {
      if (levels === 0) return encrypted;
      const inner = nested(kind, levels - 1);
      return kind === 'mail'
        ? `Content-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\n${inner}`
        : `Content-Type: multipart/mixed; boundary=n${levels}\r\n\r\n--n${levels}\r\n${inner}\r\n--n${levels}--\r\n`;
    };
    for (const kind of ['multipart', 'mail'] as const)
      for (const levels of [0, 1, 3]) {
        // the list itself is the first level
        const found = (depth: number) =>
          decoded(listMail(nested(kind, levels)), { limits: { depth } }).pieces.length;
        assert.deepEqual([found(levels), found(levels + 1)], [0, 1], `${kind} ${levels}`);
      }
  });

  it('do not make a signed multipart anything else', () => {
    const within = listMail(encrypted)
      .toString('latin1')
      .replace(/^From[\s\S]*?(?=Content-Type)/, '');
    const mail = sign(Buffer.from(within, 'latin1'), ['-binary'], alice);
    const { verdict } = decodeSync(mail, options);
    assert.equal(verdict.signature, 'valid');
    assert.equal(verdict.encrypted, false);
    assert.deepEqual(brief(verdict), [['1', 'application/pkcs7-mime', 'ok', true, 'none']]);
  });
});

const partOf = (octets: Buffer) => octets.toString('latin1').replace(/^From[\s\S]*?(?=Content-Type)/, '');
const layered = (inside: string) => part(encrypt(Buffer.from(inside, 'latin1'), []));

describe('the content of embedded parts', { skip: noOpenssl }, () => {
  const nested = layered(partOf(listMail(signed, layered(partOf(listMail(encrypted))))));
  const broken = signed.replace('the piece', 'another piece');
  const foreign = part(encrypt(entity, [], [bob]));
  const mail = listMail(nested, broken, foreign);
  const expected = [
    ['1', null, 'none'],
    ['1/1', entity, 'valid'],
    ['1/2', null, 'none'],
    ['1/2/1', entity, 'none'],
    ['2', Buffer.from(entity.toString().replace('the piece', 'another piece')), 'invalid'],
    ['3', undefined, 'none'],
  ] as const;

  it('is given for each by itself, those inside of others too', () => {
    const { verdict, content, embedded } = decodeSync(mail, options);
    verdictSchema.parse(verdict);
    assert.deepEqual(content, mail);
    assert.deepEqual(
      verdict.pieces.map(({ path, signature }) => [path, signature]),
      expected.map(([path, , signature]) => [path, signature]),
    );
    for (const [path, octets] of expected) {
      const found = embedded.get(path);
      if (octets !== null) assert.deepEqual(found, octets, path);
      const sha256 = found && createHash('sha256').update(found).digest('hex');
      assert.equal(verdict.pieces.find((each) => each.path === path)?.content?.sha256, sha256, path);
    }
  });

  it('goes to outputs of their own when it is streamed, a second run included', async () => {
    const once = decodeSync(mail, options);
    // an unmarked multipart/signed that is not S/MIME needs a second run
    const foreignMail = Buffer.from(
      mail.toString('latin1').replace('multipart/mixed; boundary=list', 'multipart/signed; boundary=list'),
      'latin1',
    );
    for (const [octets, runs] of [
      [mail, 1],
      [foreignMail, 2],
    ] as const) {
      let ran = 1;
      let outputs = new Map<string, Buffer[]>();
      const { verdict, embedded } = await decode(octets, {
        ...options,
        output: {
          write: () => {},
          restart: () => {
            ran++;
            outputs = new Map();
          },
        },
        embeddedOutput: ({ path }) => {
          const chunks: Buffer[] = [];
          assert.ok(!outputs.has(path));
          outputs.set(path, chunks);
          return { write: async (chunk) => void chunks.push(chunk) };
        },
      });
      assert.equal(ran, runs);
      assert.equal(embedded.size, 0);
      assert.equal(verdict.pieces.length, expected.length);
      for (const { path, content } of verdict.pieces) {
        if (content === null) continue;
        assert.deepEqual(Buffer.concat(outputs.get(path) ?? []), once.embedded.get(path), path);
      }
    }
  });

  it('is void when the piece around it is', () => {
    const at = mail.indexOf('MII');
    const cut = Buffer.from(mail);
    // the last block of the outer piece: its padding does not hold
    const end = mail.indexOf('\r\n\r\n', at);
    mail.copy(cut, end - 60, end - 180, end - 130);
    const { verdict, embedded } = decodeSync(cut, options);
    assert.deepEqual(
      verdict.pieces.map(({ path, status }) => [path, status]),
      [
        ['1', 'failed'],
        ['2', 'ok'],
        ['3', 'failed'],
      ],
    );
    assert.deepEqual([...embedded.keys()], ['2']);
  });

  it('is looked for up to the limits of layers and parts of the whole message', () => {
    const { verdict } = decodeSync(mail, { ...options, limits: { layers: 2 } });
    assert.deepEqual(
      verdict.pieces.map(({ path, error }) => [path, error?.code ?? null]),
      [
        ['1', null],
        ['1/1', null],
        ['1/2', null],
        ['1/2/1', 'layer-limit'],
        ['2', null],
        ['3', 'decrypt-no-key'],
      ],
    );
    const few = decodeSync(mail, { ...options, limits: { embedded: 2 } });
    assert.deepEqual(
      few.verdict.pieces.map(({ path, error }) => [path, error?.code ?? null]),
      [
        ['1', null],
        ['1/1', null],
        ['1/2', 'mime-limit'],
      ],
    );
  });

  it("needs no more memory than what passes through, and an error of its output is the caller's", async () => {
    await assert.rejects(
      decode(mail, {
        ...options,
        output: { write: () => {} },
        embeddedOutput: () => {
          throw new Error('the disk is full');
        },
      }),
      /the disk is full/,
    );
    let held = 0;
    const sink = {
      write: (chunk: Buffer) => {
        held += chunk.length;
      },
      end: () => {},
    };
    const decoder = new Decoder(new NullSink(), options, { openEmbedded: () => sink });
    const large = part(encrypt(Buffer.alloc(3 << 20, 'large\r\n'), []));
    const octets = listMail(large);
    let before = 0;
    for (let at = 0; at < octets.length; at += 65_536) {
      decoder.write(octets.subarray(at, at + 65_536));
      if (at > 0 && at < 3 << 20) assert.ok(held > before, 'it comes as the message is read');
      before = held;
    }
    decoder.end();
    assert.equal(held, 3 << 20);
  });
});

function decodeInChunks(chunks: Iterable<Buffer>): Verdict {
  const decoder = new Decoder(new NullSink(), options);
  for (const chunk of chunks) decoder.write(chunk);
  decoder.end();
  return decoder.verdict;
}
