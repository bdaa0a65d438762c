/** Reduces HTML to its words, for a look at a mail that has no other text. The time is proportional to the length. */

/** Characters that have a name here. Any other name stays as it is written. */
const named: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};

function characterOf(whole: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return named[name.toLowerCase()] ?? whole;
  const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
  const isOne = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isOne ? String.fromCodePoint(code) : whole;
}

// Each pattern ends at the next <, so no text is scanned twice.
export function wordsOf(html: string): string {
  return html
    .replaceAll(/<(?:style|script)\b[^<>]*>[^<]*/gi, '')
    .replaceAll(/<(?:br|hr|\/(?:p|div|tr|li|table|blockquote|h[1-6]))\b[^<>]*>/gi, '\n')
    .replaceAll(/<[/!?a-z][^<>]*>/gi, ' ')
    .replaceAll(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi, characterOf)
    .replaceAll(/[ \t]{2,}/g, ' ')
    .replaceAll(/\n[ \n\r]+/g, '\n\n')
    .trim();
}
