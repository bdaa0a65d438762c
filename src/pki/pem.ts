/** One block of a PEM file (RFC 7468). */
export interface PemBlock {
  label: string;
  /** The decoded octets. They are unusable if `encrypted` is set. */
  der: Buffer;
  /** The block including its first and last line. */
  text: string;
  /** It has RFC 1421 header lines, like OpenSSL's traditional encrypted keys. */
  encrypted: boolean;
}

/** Labels of a CMS object: RFC 7468, the older PKCS#7, OpenSSL's old label, and gpgsm's. */
export const cmsLabels: ReadonlySet<string> = new Set([
  'CMS',
  'PKCS7',
  'PKCS #7 SIGNED DATA',
  'SIGNED MESSAGE',
  'ENCRYPTED MESSAGE',
  'CMS OBJECT',
]);

/**
 * True unless the octets are DER, that is, a SEQUENCE with the length of the file. Text starts like that only by chance
 * ("0").
 */
export function isPem(data: Buffer): boolean {
  return data[0] !== 0x30 || ((data[1] ?? 0) < 0x80 && data.includes(begin));
}

const begin = '-----BEGIN ';
const dashes = '-----';
const mostBlocks = 10_000;

/**
 * Finds the blocks of a PEM file among other text. A block begins at the start of a line, because the comment above it
 * may contain such a label. A block without an end is skipped.
 */
export function readPem(data: Buffer): PemBlock[] {
  const text = data.toString('latin1');
  const blocks: PemBlock[] = [];
  let last = text.startsWith(byteOrderMark) ? byteOrderMark.length : 0;
  for (let at = text.indexOf(begin); at >= 0 && blocks.length < mostBlocks; at = text.indexOf(begin, at)) {
    const labelEnd = text.indexOf(dashes, at + begin.length);
    if (labelEnd < 0) break;
    const label = text.slice(at + begin.length, labelEnd);
    const footer = `-----END ${label}-----`;
    // The next dashes end it, or it has no end. Searching on for an end would take quadratic time for many such blocks.
    const end = text.indexOf(dashes, labelEnd + dashes.length);
    if (end < 0) break;
    if (label.length > 64 || !text.startsWith(footer, end) || !beginsLine(text, at, last)) {
      at = labelEnd;
      continue;
    }
    const inside = text.slice(labelEnd + dashes.length, end);
    const body = inside.replace(/^[ \t]*\r?\n(?:[A-Za-z-]+:[^\n]*\n)+\r?\n?/, '');
    blocks.push({
      label,
      der: Buffer.from(body, 'base64'),
      text: `${text.slice(at, end + footer.length)}\n`,
      encrypted: inside.includes('ENCRYPTED'),
    });
    at = end + footer.length;
    last = at;
  }
  return blocks;
}

/** Read as latin1. */
const byteOrderMark = '\u00ef\u00bb\u00bf';

/** @param last the end of the previous block: files are concatenated without a line end in between */
function beginsLine(text: string, at: number, last: number): boolean {
  let start = at;
  while (start > last && (text[start - 1] === ' ' || text[start - 1] === '\t')) start--;
  return start === last || text[start - 1] === '\n' || text[start - 1] === '\r';
}
