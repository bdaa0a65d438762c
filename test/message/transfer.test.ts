import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Base64Encoder } from '../../src/message/base64.ts';
import { CanonicalSink } from '../../src/message/canonical.ts';
import { QuotedPrintableEncoder } from '../../src/message/quoted-printable.ts';
import { transferDecoder } from '../../src/message/transfer.ts';
import { cuts, pushThrough, randomOf } from './pushing.ts';

function randomOctets(length: number, seed: number): Buffer {
  const random = randomOf(seed);
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

function decodes(encoding: string, input: string | Buffer, expected: string | Buffer): void {
  for (const { name, chunks } of cuts(Buffer.from(input as string, 'latin1'))) {
    const found = pushThrough(chunks, (output) => transferDecoder(encoding, output));
    assert.deepEqual(
      found.toString('latin1'),
      Buffer.from(expected as string, 'latin1').toString('latin1'),
      name,
    );
  }
}

function refuses(encoding: string, input: string): void {
  for (const { name, chunks } of cuts(Buffer.from(input, 'latin1'), 2)) {
    assert.throws(
      () => pushThrough(chunks, (output) => transferDecoder(encoding, output)),
      { code: 'transfer-encoding' },
      name,
    );
  }
}

const lines = (octets: Buffer, width: number, end: string) =>
  octets.toString('base64').replace(new RegExp(`.{${width}}`, 'g'), `$&${end}`);

describe('base64', () => {
  for (const length of [0, 1, 2, 3, 56, 57, 58, 114, 3000, 5001]) {
    it(`encodes and decodes ${length} octets, however they are cut`, () => {
      const octets = randomOctets(length, length + 1);
      for (const { name, chunks } of cuts(octets, 4)) {
        const encoded = pushThrough(chunks, (output) => new Base64Encoder(output));
        const expected = lines(octets, 76, '\r\n');
        assert.equal(
          encoded.toString(),
          expected.endsWith('\n') || length === 0 ? expected : `${expected}\r\n`,
          name,
        );
      }
      for (const [width, end] of [
        [76, '\r\n'],
        [64, '\n'],
        [75, '\r\n'],
        [4, '\n'],
        [1000, '\r\n'],
      ] as const) {
        decodes('base64', lines(octets, width, end), octets);
      }
    });
  }

  it('decodes across the size of a piece', () => {
    const octets = randomOctets(300_000, 7);
    for (const end of ['\r\n', '\n', '']) {
      const text = Buffer.from(lines(octets, 76, end));
      for (const size of [text.length, 65536, 65535, 9999]) {
        const chunks: Buffer[] = [];
        for (let at = 0; at < text.length; at += size) chunks.push(text.subarray(at, at + size));
        assert.ok(pushThrough(chunks, (output) => transferDecoder('base64', output)).equals(octets));
      }
    }
  });

  it('ignores characters outside of the alphabet', () => {
    const octets = randomOctets(2000, 3);
    const text = lines(octets, 76, '\r\n').replace(/(.{500})/gs, '$1!-_\u00e9 ');
    decodes('base64', text, octets);
  });

  it('accepts missing padding', () => decodes('base64', 'QUI', 'AB'));

  it('refuses what is not base64', () => {
    refuses('base64', 'QUJD=QUJD');
    refuses('base64', 'QUI=\r\nQUJD');
    refuses('base64', 'QQ=\r\n');
    refuses('base64', 'Q===');
    refuses('base64', 'QUJDR');
    refuses('base64', '====');
    refuses('base64', randomOctets(3000, 9).toString('latin1'));
    refuses(
      'base64',
      'A line of text, with spaces; and (other) things: "quoted" {as} it <is>! ---- ???? !!!! \u00e4\u00f6\u00fc'.repeat(
        3,
      ),
    );
  });

  it('is not slow for lines of changing length', () => {
    // each line another width, so that the fast way fails again and again
    const octets = randomOctets(200_000, 5);
    const text = octets.toString('base64').replace(/.{4,160}?(?=[AEIMQUYcgk])/g, '$&\r\n');
    assert.ok(pushThrough([Buffer.from(text)], (output) => transferDecoder('base64', output)).equals(octets));
  });
});

describe('quoted-printable', () => {
  it('decodes escapes, soft line breaks and padded line ends', () => {
    decodes('quoted-printable', 'a=3Db=\r\nc \t\r\nd=E4=0D=0A=  \r\ne', 'a=bc\r\nd\u00e4\r\ne');
    decodes('quoted-printable', 'a=\nb \nc', 'ab\nc');
    decodes('quoted-printable', 'a=3db', 'a=b');
  });

  it('leaves an invalid escape as it is', () => {
    decodes('quoted-printable', 'a=ZZ =4', 'a=ZZ =4');
    decodes('quoted-printable', 'a = b', 'a = b');
    decodes('quoted-printable', 'a  b \rc', 'a  b \rc');
  });

  it('encodes to lines of at most 76 characters that decode to the same', () => {
    const text = `From here\r\n.\r\ntrailing \r\n\ttab\t\r\n${'gr\u00fc\u00dfe '.repeat(40)}\r\nlast=`;
    const octets = Buffer.concat([Buffer.from(text), randomOctets(500, 4)]);
    for (const { name, chunks } of cuts(octets)) {
      const encoded = pushThrough(chunks, (output) => new QuotedPrintableEncoder(output)).toString('latin1');
      for (const line of encoded.split('\r\n')) assert.ok(line.length <= 76, name);
      assert.match(encoded, /^[\x20-\x7e\t\r\n]*$/);
      assert.match(encoded, /^=46rom here\r\n=2E\r\ntrailing=20\r\n/, name);
      const back = pushThrough([Buffer.from(encoded)], (output) =>
        transferDecoder('quoted-printable', output),
      );
      assert.ok(back.equals(octets), name);
    }
  });
});

describe('other transfer encodings', () => {
  it('decodes uuencode', () => {
    decodes('x-uuencode', 'noise\r\nbegin 644 smime.p7m\r\n#0V%T\r\n`\r\nend\r\nafter', 'Cat');
    refuses('x-uuencode', 'no begin line\r\n');
  });

  it('passes 7bit, 8bit and binary', () => {
    for (const encoding of ['7bit', '8BIT', 'binary', ''])
      decodes(encoding, 'a\r\n\u00e4\n', 'a\r\n\u00e4\n');
  });

  it('refuses an unknown one', () => refuses('x-unheard-of', 'x'));
});

describe('canonical line ends', () => {
  const input = Buffer.from('a\nb\r\nc\rd\r\r\ne\n\nf\r');

  it('turns bare LF into CRLF and leaves bare CR', () => {
    for (const { name, chunks } of cuts(input)) {
      const found = pushThrough(chunks, (output) => new CanonicalSink(output, 'lf')).toString();
      assert.equal(found, 'a\r\nb\r\nc\rd\r\r\ne\r\n\r\nf\r', name);
    }
  });

  it('turns bare CR into CRLF too when it is to be sent', () => {
    for (const { name, chunks } of cuts(input)) {
      const found = pushThrough(chunks, (output) => new CanonicalSink(output, 'cr-and-lf')).toString();
      assert.equal(found, 'a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf\r\n', name);
    }
  });

  it('passes what is canonical as the same buffers', () => {
    const chunk = Buffer.from('a\r\nb\r\n');
    const seen: Buffer[] = [];
    new CanonicalSink({ write: (octets) => seen.push(octets), end: () => {} }).write(chunk);
    assert.equal(seen[0], chunk);
  });
});
