/** One block of a PEM file (RFC 7468). */
export interface PemBlock {
  label: string;
  /** The decoded octets; unusable if `encrypted` is set. */
  der: Buffer;
  /** The block with its first and last line. */
  text: string;
  /** It has header lines of RFC 1421, like OpenSSL's traditional encrypted keys. */
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
 * True unless the octets are DER, a SEQUENCE with the length of the file. Text starts like that only by chance ("0").
 */
export function isPem(data: Buffer): boolean {
  return data[0] !== 0x30 || ((data[1] ?? 0) < 0x80 && data.includes(begin));
}

const begin = '-----BEGIN ';
const dashes = '-----';
const mostBlocks = 10_000;

/** Finds the blocks of a PEM file among other text. A block without its end is skipped. */
export function readPem(data: Buffer): PemBlock[] {
  const text = data.toString('latin1');
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf(begin); at >= 0 && blocks.length < mostBlocks; at = text.indexOf(begin, at)) {
    const labelEnd = text.indexOf(dashes, at + begin.length);
    if (labelEnd < 0) break;
    const label = text.slice(at + begin.length, labelEnd);
    const footer = `-----END ${label}-----`;
    const end = label.length > 64 ? -1 : text.indexOf(footer, labelEnd);
    if (end < 0) {
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
  }
  return blocks;
}
