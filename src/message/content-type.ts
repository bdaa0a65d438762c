/** A MIME type or disposition with its parameters (names in lower case, values decoded). */
export interface Parameterized {
  readonly value: string;
  readonly parameters: Parameters;
}

/** The parameters of a value. Each is decoded on first use, because few ever are. */
export interface Parameters {
  /** The value of the parameter with this name (in lower case), or undefined. */
  get(name: string): string | undefined;
}

export interface ContentType extends Parameterized {
  /** Such as `multipart`, in lower case. */
  readonly type: string;
  /** Such as `signed`, in lower case. */
  readonly subtype: string;
}

/** Reads one structured value from left to right. Nothing can fail; at worst, a parameter is lost. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Skips white space and comments (RFC 822, nested). An unclosed comment ends with the text. */
  skipSpace(): void {
    for (;;) {
      const char = this.#text[this.#at];
      if (char === '(') this.#skipComment();
      else if (char === ' ' || char === '\t' || char === '\r' || char === '\n') this.#at++;
      else return;
    }
  }

  #skipComment(): void {
    let depth = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (char === '\\') this.#at++;
      else if (char === '(') depth++;
      else if (char === ')' && --depth === 0) {
        this.#at++;
        return;
      }
    }
  }

  /** Takes the character if it is next. */
  take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  /** Characters up to one of `stops` or the end, trimmed. A comment after white space is dropped. */
  until(stops: string): string {
    let found = '';
    let from = this.#at;
    let before = ' ';
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined || stops.includes(char)) break;
      if (char === '(' && (before === ' ' || before === '\t')) {
        found += this.#text.slice(from, this.#at);
        this.#skipComment();
        from = this.#at;
        before = ' ';
      } else {
        this.#at++;
        before = char;
      }
    }
    return (found + this.#text.slice(from, this.#at)).trim();
  }

  /** The rest of a quoted string whose opening quote was already taken. An unclosed one ends with the text. */
  quoted(): string {
    let found = '';
    while (!this.done) {
      const char = this.#text[this.#at++] ?? '';
      if (char === '"') break;
      if (char === '\\' && !this.done) found += this.#text[this.#at++] ?? '';
      else found += char;
    }
    return found;
  }
}

/** Wraps a function of short texts with a cache, because nearly every message has the same few values. */
function remembered<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    if (text.length > longestRemembered) return read(text);
    let found = known.get(text);
    if (found === undefined) {
      if (known.size >= mostRemembered) known.clear();
      // a copy: a slice would keep the text of the whole header block in memory
      const own = Buffer.from(text).toString();
      found = read(own);
      known.set(own, found);
    }
    return found;
  };
}

const longestRemembered = 200;
const mostRemembered = 200;

/**
 * Reads a value with parameters: RFC 2045, section 5.1, with the continuations and charsets of RFC 2231. It is as
 * tolerant as mail requires: comments, missing quotes and empty parameters are accepted. Of two parameters with the
 * same name, the first counts.
 */
export const parseParameterized = remembered(readParameterized);

function readParameterized(text: string): Parameterized {
  const scanner = new Scanner(text);
  scanner.skipSpace();
  const value = scanner.until(';').toLowerCase();
  const plain = new Map<string, string>();
  while (!scanner.done) {
    if (scanner.take(';')) continue;
    scanner.skipSpace();
    const name = scanner.until('=;').toLowerCase();
    if (!scanner.take('=')) continue;
    scanner.skipSpace();
    let content: string;
    if (scanner.take('"')) {
      content = scanner.quoted();
      scanner.until(';');
    } else content = scanner.until(';');
    if (name !== '' && !plain.has(name)) plain.set(name, content);
  }
  return { value, parameters: withContinuations(plain) };
}

/** One piece of a parameter with RFC 2231 continuations. */
interface Section {
  index: number;
  extended: boolean;
  text: string;
}

/**
 * Parameters by RFC 2231: `name*0`, `name*1*` ... become `name`; `name*` and `name*0*` carry charset and language. A
 * header has room for thousands, each in its own charset, but only a few are ever used.
 */
class ContinuedParameters implements Parameters {
  readonly #plain: ReadonlyMap<string, string>;
  readonly #sections: ReadonlyMap<string, Section[]>;
  readonly #joined = new Map<string, string>();

  constructor(plain: ReadonlyMap<string, string>, sections: ReadonlyMap<string, Section[]>) {
    this.#plain = plain;
    this.#sections = sections;
  }

  get(name: string): string | undefined {
    const sections = this.#sections.get(name);
    // readers that know the extended form should prefer it (RFC 2231, section 4)
    if (sections === undefined) return this.#plain.get(name);
    let joined = this.#joined.get(name);
    if (joined === undefined) {
      joined = joinSections(sections);
      this.#joined.set(name, joined);
    }
    return joined;
  }
}

function withContinuations(all: ReadonlyMap<string, string>): Parameters {
  if (![...all.keys()].some((name) => name.includes('*'))) return all;
  const plain = new Map<string, string>();
  const sections = new Map<string, Section[]>();
  for (const [name, text] of all) {
    const match = /^([^*]+)\*(?:(\d{1,3})(\*)?)?$/.exec(name);
    if (match === null) {
      plain.set(name, text);
      continue;
    }
    const [, base = '', index, star] = match;
    const section = { index: Number(index ?? 0), extended: index === undefined || star !== undefined, text };
    const list = sections.get(base);
    if (list === undefined) sections.set(base, [section]);
    else list.push(section);
  }
  return new ContinuedParameters(plain, sections);
}

function joinSections(sections: readonly Section[]): string {
  let charset = 'utf-8';
  const octets: Buffer[] = [];
  for (const [position, section] of sections.toSorted((a, b) => a.index - b.index).entries()) {
    let content = section.text;
    if (section.extended && position === 0) {
      const head = /^([^']*)'[^']*'/.exec(content);
      if (head !== null) {
        charset = head[1] || 'utf-8';
        content = content.slice(head[0].length);
      }
    }
    octets.push(section.extended ? percentDecode(content) : Buffer.from(content, 'utf8'));
  }
  return decodeCharset(charset, Buffer.concat(octets));
}

function percentDecode(text: string): Buffer {
  const octets = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(octets, 'latin1');
}

type Decoder = InstanceType<typeof TextDecoder>;

/**
 * Creating a decoder costs a hundred times as much as decoding a name, and a header has room for thousands of names.
 */
const decoders = new Map<string, Decoder | undefined>();
const mostDecoders = 100;
const longestCharset = 40;

function decoderOf(charset: string): Decoder | undefined {
  if (charset.length > longestCharset) return undefined;
  const name = charset.toLowerCase();
  if (!decoders.has(name)) {
    if (decoders.size >= mostDecoders) decoders.clear();
    decoders.set(name, makeDecoder(name));
  }
  return decoders.get(name);
}

function makeDecoder(charset: string): Decoder | undefined {
  try {
    return new TextDecoder(charset);
  } catch {
    return undefined;
  }
}

/** Octets in a named charset as text. An unknown charset is read as Latin-1, so that nothing is lost. */
export function decodeCharset(charset: string, octets: Buffer): string {
  return decoderOf(charset)?.decode(octets) ?? octets.toString('latin1');
}

/** Reads a Content-Type value; `text/plain` if missing or unreadable (RFC 2045, section 5.2). */
export function parseContentType(text: string | undefined): ContentType {
  return readContentType(text ?? '');
}

const readContentType = remembered((text): ContentType => {
  const { value, parameters } = readParameterized(text);
  const match = /^([^\s/]+)\s*\/\s*([^\s/]+)$/.exec(value);
  if (match === null) return { value: 'text/plain', type: 'text', subtype: 'plain', parameters };
  const [, type = '', subtype = ''] = match;
  return { value: `${type}/${subtype}`, type, subtype, parameters };
});
