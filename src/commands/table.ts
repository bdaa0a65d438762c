/** Tables for people: columns that fit the terminal, whole values for a pipe. */
import { printable } from '../printable.ts';
import { type Piece, printPieces, type Style, terminal } from './output.ts';

export interface Column {
  title: string;
  right?: boolean;
  /** Cells become narrower than their text, down to so many places, if the terminal is too narrow. */
  least?: number;
  /** What is left of a cell that was cut is useful by itself: no ellipsis. */
  bare?: boolean;
}

export interface Cell {
  text: string;
  style?: Style;
}

const gap = 2;

/** Characters of East Asian scripts and pictures fill two places; marks that stand on another character fill none. */
const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]/u;
const none = /[\p{Mn}\p{Me}]/u;

function placesOf(char: string): number {
  if (char <= '~') return 1;
  return none.test(char) ? 0 : wide.test(char) ? 2 : 1;
}

/** Places that a text fills on a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += placesOf(char);
  return width;
}

/** The text in so many places; what is cut off shows as an ellipsis, unless the rest is bare. */
export function fitted(text: string, places: number, { right = false, bare = false } = {}): string {
  const width = widthOf(text);
  if (width <= places) return right ? ' '.repeat(places - width) + text : text + ' '.repeat(places - width);
  const end = bare ? '' : '…';
  let kept = '';
  let used = 0;
  for (const char of text) {
    const more = placesOf(char);
    if (used + more > places - end.length) break;
    kept += char;
    used += more;
  }
  return `${kept}${end}${' '.repeat(Math.max(0, places - end.length - used))}`;
}

/**
 * Widths of the columns, in places. The widest of those that may give way gives way first, so that a long subject does
 * not cost a short reason its end.
 */
export function widthsOf(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  room: number,
): number[] {
  const widths = columns.map(({ title }, at) =>
    Math.max(widthOf(title), ...rows.map((row) => widthOf(row[at] ?? ''))),
  );
  let over = widths.reduce((sum, width) => sum + width + gap, -gap) - room;
  while (over > 0) {
    let widest = -1;
    columns.forEach(({ least }, at) => {
      const width = widths[at] ?? 0;
      if (least !== undefined && width > least && width > (widths[widest] ?? 0)) widest = at;
    });
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 1) - 1;
    over -= 1;
  }
  return widths;
}

/** The lines of a table with its heading, not printed yet. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  room = terminal()?.columns ?? Number.POSITIVE_INFINITY,
): Piece[][] {
  const cells = rows.map((row) => row.map(({ text, style }) => ({ text: printable(text), style })));
  const widths = widthsOf(
    columns,
    cells.map((row) => row.map(({ text }) => text)),
    room,
  );
  const line = (row: readonly { text: string; style: Style | undefined }[]): Piece[] => {
    const shown = row.map(({ text, style }, at) => ({
      text: fitted(text, widths[at] ?? 0, columns[at]),
      style,
    }));
    const pieces = shown.flatMap((piece, at): Piece[] =>
      at === 0 ? [piece] : [{ text: ' '.repeat(gap) }, piece],
    );
    // nothing but spaces at the end of a line is nothing
    while (pieces.at(-1)?.text.trim() === '') pieces.pop();
    const last = pieces.pop();
    return last === undefined ? [] : [...pieces, { ...last, text: last.text.trimEnd() }];
  };
  return [line(columns.map(({ title }) => ({ text: title, style: 'heading' }))), ...cells.map(line)];
}

export function printTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  heading = true,
): void {
  for (const line of tableLines(columns, rows).slice(heading ? 0 : 1)) printPieces(line);
}
