import fc from 'fast-check';

/** One part of a generated mail: what its sender meant, and how it is written. */
export interface Part {
  contentType: string;
  transferEncoding: '7bit' | '8bit' | 'quoted-printable' | 'base64' | 'binary';
  /** The octets that the sender meant, with the line ends of the mail. */
  body: Buffer;
}

/** A mail: one part, or several in a multipart/mixed. */
export interface Mail {
  headers: string[];
  parts: Part[];
  /** The multipart has the Content-Transfer-Encoding that RFC 2045 wants there; many senders forget it. */
  labelled: boolean;
  lineEnd: '\r\n' | '\n';
}

const isText = ({ contentType }: Part) => contentType.startsWith('text/');

/** Sizes around which the codec changes its ways: lines, base64 quanta, chunks of the streams, the definite form. */
const borders = [
  0, 1, 56, 57, 58, 75, 76, 77, 997, 998, 999, 4095, 4096, 16_383, 16_384, 65_535, 65_536, 65_537, 131_071,
  131_072, 131_073,
];
const size = fc.oneof(
  { weight: 4, arbitrary: fc.nat(300) },
  { weight: 2, arbitrary: fc.constantFrom(...borders) },
);

const ascii = fc
  .string({ unit: 'binary-ascii', maxLength: 90 })
  .map((text) => text.replace(/[\0\r\n]/g, ' '));
const accented = fc
  .string({ unit: 'binary', maxLength: 60 })
  .map((text) => text.replace(/[\0\r\n\u0085\u2028\u2029]/g, ' '));
const line = fc.oneof(
  ascii,
  ascii.map((text) => `${text}   \t`),
  fc.constantFrom(
    '',
    '.',
    '..',
    'From here',
    '--b',
    '--',
    '=',
    '=3D',
    '-----BEGIN PKCS7-----',
    'begin 644 x',
  ),
);
const end = fc.constantFrom('\r\n', '\r\n', '\n', '\r');

/** Text of lines whose ends are mixed as real senders mix them. */
const lines = (one: fc.Arbitrary<string>) =>
  fc
    .array(fc.tuple(one, end), { maxLength: 30 })
    .map((all) => all.map(([text, ending]) => text + ending).join(''));

const part: fc.Arbitrary<Part> = fc.oneof(
  lines(line).map(
    (text): Part => ({
      contentType: 'text/plain; charset=us-ascii',
      transferEncoding: '7bit',
      body: Buffer.from(text, 'latin1'),
    }),
  ),
  lines(fc.oneof(line, accented)).map(
    (text): Part => ({
      contentType: 'text/plain; charset=utf-8',
      transferEncoding: '8bit',
      body: Buffer.from(text),
    }),
  ),
  lines(accented).map(
    (text): Part => ({
      contentType: 'text/html; charset="utf-8"',
      transferEncoding: 'quoted-printable',
      body: Buffer.from(text),
    }),
  ),
  fc.tuple(lines(line), fc.constantFrom('iso-8859-1', 'windows-1252', 'x-unknown')).map(
    ([text, charset]): Part => ({
      contentType: `text/plain; charset=${charset}`,
      transferEncoding: '8bit',
      body: Buffer.from(`${text}\u00e4\u00f6`, 'latin1'),
    }),
  ),
  fc.tuple(size, fc.nat(), fc.constantFrom('base64', 'base64', 'binary')).map(
    ([octets, seed, transferEncoding]): Part => ({
      contentType: 'application/octet-stream; name="a b.bin"',
      transferEncoding: transferEncoding === 'binary' ? 'binary' : 'base64',
      body: noise(octets, seed),
    }),
  ),
);

/** Octets without a pattern, from a seed so that a failing case stays small to print. */
function noise(octets: number, seed: number): Buffer {
  const made = Buffer.allocUnsafe(octets);
  let state = seed >>> 0;
  for (let at = 0; at < octets; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    made[at] = state >>> 24;
  }
  return made;
}

const headers: fc.Arbitrary<string[]> = fc.constantFrom<string[]>(
  [],
  ['Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?='],
  ['Subject: a long one', 'X-Folded: begins\r\n\there and goes on\r\n here', 'References: <a@b> <c@d>'],
);

export const mail: fc.Arbitrary<Mail> = fc.record({
  headers,
  parts: fc.oneof(
    { weight: 3, arbitrary: part.map((one) => [one]) },
    { weight: 1, arbitrary: fc.array(part, { minLength: 2, maxLength: 4 }) },
  ),
  labelled: fc.boolean(),
  lineEnd: fc.constantFrom('\r\n', '\r\n', '\n'),
});

const boundary = '=_border 7f3a';

function encoded({ body, transferEncoding }: Part): Buffer {
  if (transferEncoding === 'base64')
    return Buffer.from(body.toString('base64').replace(/.{1,76}/g, '$&\r\n'));
  if (transferEncoding !== 'quoted-printable') return body;
  // the plainest form there is: every octet but the line end escaped
  const text = canonical(body).toString('latin1').split('\r\n');
  const escaped = (one: string) =>
    one.replace(/./gs, (char) => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
  return Buffer.from(text.map((one) => escaped(one).replace(/.{72}(?=.)/g, '$&=\r\n')).join('\r\n'));
}

function written(part: Part): Buffer {
  return Buffer.concat([
    Buffer.from(
      `Content-Type: ${part.contentType}\r\nContent-Transfer-Encoding: ${part.transferEncoding}\r\n\r\n`,
    ),
    encoded(part),
  ]);
}

/** RFC 2045 section 6.4: the widest of the parts'. */
function outerEncoding(parts: readonly Part[]): string {
  const widest = ['binary', '8bit'].find((wide) =>
    parts.some(({ transferEncoding }) => transferEncoding === wide),
  );
  return widest === undefined ? '' : `Content-Transfer-Encoding: ${widest}\r\n`;
}

/** The octets of the mail as it is given to the encoder. */
export function octetsOf({ headers: fields, parts, labelled, lineEnd }: Mail): Buffer {
  const head = ['From: alice@example.com', 'To: bob@example.com', ...fields].join('\r\n');
  const [only] = parts;
  const label = labelled ? outerEncoding(parts) : '';
  const body =
    parts.length === 1 && only !== undefined
      ? written(only)
      : Buffer.concat([
          Buffer.from(`Content-Type: multipart/mixed; boundary="${boundary}"\r\n${label}\r\n`),
          ...parts.flatMap((each) => [Buffer.from(`--${boundary}\r\n`), written(each), Buffer.from('\r\n')]),
          Buffer.from(`--${boundary}--\r\n`),
        ]);
  const whole = Buffer.concat([Buffer.from(`${head}\r\nMIME-Version: 1.0\r\n`), body]);
  // a CR at the end of a part and the LF of the delimiter would be one line end
  const isFixed = parts.some(
    ({ transferEncoding, body: last }) =>
      transferEncoding === 'binary' || /\r(?!\n)/.test(last.toString('latin1')),
  );
  return lineEnd === '\n' && !isFixed
    ? Buffer.from(whole.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')
    : whole;
}

/** Line ends as RFC 8551 section 3.1.1 has them. */
export function canonical(octets: Buffer): Buffer {
  return Buffer.from(octets.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n'), 'latin1');
}

/** What one part must be after the way there and back. */
export function expected(part: Part): { contentType: string; body: Buffer } {
  const { contentType, transferEncoding, body } = part;
  const keepsLineEnds = transferEncoding === 'base64' || transferEncoding === 'binary';
  return { contentType, body: isText(part) && !keepsLineEnds ? canonical(body) : body };
}

/** The parts in decoded octets, by a reader that knows only what is written here. */
export function partsOf(content: Buffer): { contentType: string; body: Buffer }[] {
  const text = content.toString('latin1');
  const split = text.indexOf('\r\n\r\n');
  const head = text.slice(0, split).replace(/\r\n[ \t]+/g, ' ');
  const field = (name: string) => new RegExp(`(?:^|\r\n)${name}: *([^\r]*)`, 'i').exec(head)?.[1] ?? '';
  const contentType = field('content-type');
  const body = text.slice(split + 4);
  if (contentType.startsWith('multipart/mixed')) {
    const [, ...parts] = `\r\n${body}`.split(`\r\n--${boundary}`);
    return parts.slice(0, -1).flatMap((each) => partsOf(Buffer.from(each.slice(2), 'latin1')));
  }
  return [{ contentType, body: decodedBody(body, field('content-transfer-encoding').toLowerCase()) }];
}

function decodedBody(body: string, transferEncoding: string): Buffer {
  if (transferEncoding === 'base64') return Buffer.from(body, 'base64');
  if (transferEncoding !== 'quoted-printable') return Buffer.from(body, 'latin1');
  const plain = body
    .replace(/[ \t]+(?=\r\n|$)/g, '')
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(plain, 'latin1');
}
