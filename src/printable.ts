/**
 * Text from others (a message, a server, a certificate) on its way to a terminal. Control characters can move the
 * cursor, change earlier output and fake whole lines. Bidirectional controls show text in a different order.
 */

/** Controls (C0, DEL, C1), format characters (bidirectional, invisible), line and paragraph separators, half pairs. */
const hostile = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const hex = (char: string) => (char.codePointAt(0) ?? 0).toString(16);

/** One line in which each such character appears as `\u{1b}`, including line ends. */
export function printable(text: string): string {
  return text.replace(hostile, (char) => `\\u{${hex(char)}}`);
}

/**
 * As `printable`, with everything beyond ASCII escaped, for names that somebody has to compare: letters of other
 * scripts look like those of ours.
 */
export function comparable(text: string): string {
  return printable(text).replace(/[^\x20-\x7e]/gu, (char) => `\\u{${hex(char)}}`);
}

/**
 * Characters that JSON may contain literally but a terminal should not get. JSON itself escapes controls below U+0020.
 */
const hostileInJson = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The same JSON with these characters as escapes: it parses to the same value. */
export function printableJson(json: string): string {
  return json.replace(hostileInJson, (char) =>
    Array.from(
      { length: char.length },
      (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
