/**
 * HTML with types, without a build step: `html` is htm over Preact, which escapes all text and all attributes. It also
 * makes characters visible that could move, hide or reorder text. Whatever a stranger wrote passes through here, so no
 * page has to remember it.
 */
import htm from 'htm';
import { Fragment, h, type VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { printable } from '../printable.ts';

/** A piece of a page: an element, text, nothing, or several of these. */
export type Html = VNode | string | number | null | undefined | false | readonly Html[];

/** The values that a template may contain. `true` writes an attribute without a value. */
export type Piece = Html | boolean;

const bound = htm.bind(h);

/** A template. What stands in `${}` is text or a piece that was made here: no HTML gets in from outside. */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Html {
  let spaced = known.get(strings);
  if (spaced === undefined) {
    spaced = Object.assign(strings.map(withSpaces), { raw: strings.raw });
    known.set(strings, spaced);
  }
  return bound(spaced, ...values.map(visible));
}

/** htm remembers a template by its strings, so each has one form. */
const known = new WeakMap<TemplateStringsArray, TemplateStringsArray>();

/** htm drops a line end beside an element. Between an element or a value and a word, it means a space, as in HTML. */
function withSpaces(text: string): string {
  const [first = '', ...rest] = text.split('\n');
  if (rest.length === 0) return text;
  const lines = rest.map((line, at) => (at === rest.length - 1 ? line.trimStart() : line.trim()));
  let joined = first.trimEnd();
  for (const line of lines.filter((each, at) => each !== '' || at === lines.length - 1)) {
    const isBeside = (joined === '' || joined.endsWith('>')) && (line === '' || line.startsWith('<'));
    joined += isBeside ? line : ` ${line}`;
  }
  return joined;
}

function visible(value: Piece): unknown {
  if (typeof value === 'string') return shown(value);
  return Array.isArray(value) ? value.map(visible) : value;
}

/** Control, bidirectional and invisible characters as `\u{1b}`. Line ends and tabs stay. */
export function shown(text: string): string {
  return text
    .split('\n')
    .map((line) => line.split('\t').map(printable).join('\t'))
    .join('\n');
}

/** The beginning of a long text, followed by its length. */
export function short(text: string, most: number): string {
  if (text.length <= most) return text;
  // not half of a surrogate pair
  const first = text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
  return `${first}… (${text.length.toLocaleString('en')} characters)`;
}

/** A piece as text of HTML. */
export function textOf(piece: Html): string {
  return renderToString(h(Fragment, null, piece));
}
