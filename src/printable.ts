/**
 * Text that others wrote (a message, a server, a certificate) on its way to a terminal. Control characters move the
 * cursor, change what was printed before and fake whole lines; bidirectional controls show text in another order than
 * it has.
 */

/** Controls (C0, DEL, C1), format characters (bidirectional, invisible), line and paragraph separators, half pairs. */
const hostile = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const hex = (char: string) => (char.codePointAt(0) ?? 0).toString(16);

/** One line that shows each such character as `\u{1b}`. Line ends of the text are shown too: they end nothing. */
export function printable(text: string): string {
  return text.replace(hostile, (char) => `\\u{${hex(char)}}`);
}

/** What JSON may hold literally and a terminal should not get; controls below U+0020 are escaped by JSON itself. */
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
