/**
 * XML of other programs, read with care: no DTD, no entities but the five of XML, bounded in depth and number, and
 * nothing is fetched. BizTalk puts XML into the text of XML, up to three levels deep. The inner levels are read in the
 * same way, and count against the same bounds, so nesting multiplies nothing.
 */
import { SaxesParser } from 'saxes';
import { SealpostError } from '../errors.ts';

export interface Element {
  /** Without the prefix of its namespace. */
  name: string;
  attributes: ReadonlyMap<string, string>;
  children: Element[];
  text: string;
}

/** Bounds for the file as a whole. */
export interface XmlBudget {
  characters: number;
  elements: number;
  /** How many levels of XML inside the text of XML are read. */
  nesting: number;
}

export const xmlBudget = (): XmlBudget => ({ characters: 48 * 1024 * 1024, elements: 250_000, nesting: 4 });
const mostDepth = 64;
const mostAttributes = 64;

export function invalid(why: string, hint?: string): SealpostError {
  return new SealpostError(
    'import-invalid',
    `the file cannot be read: ${why}`,
    hint === undefined ? {} : { hint },
  );
}

const local = (name: string) => name.slice(name.indexOf(':') + 1);

/** The root element. Errors: `import-invalid`; they say where, and never repeat a text, which may be a password. */
export function readXml(text: string, budget: XmlBudget): Element {
  budget.characters -= text.length;
  if (budget.characters < 0) throw invalid('it is too large');
  const parser = new SaxesParser({ xmlns: false });
  const at = () => `line ${parser.line}, column ${parser.column}`;
  const open: Element[] = [];
  let root: Element | undefined;
  parser.on('doctype', () => {
    throw invalid(`it has a DTD (${at()})`, 'a binding file has none: export it again');
  });
  parser.on('error', () => {
    throw invalid(`it is not well-formed XML (${at()})`);
  });
  parser.on('opentag', (tag) => {
    budget.elements -= 1;
    const names = Object.entries(tag.attributes);
    if (budget.elements < 0 || open.length >= mostDepth || names.length > mostAttributes)
      throw invalid(`it is nested too deep, or has too many elements (${at()})`);
    const attributes = new Map(names.map(([name, value]) => [local(name), value]));
    const element: Element = { name: local(tag.name), attributes, children: [], text: '' };
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on('closetag', () => void open.pop());
  const add = (more: string) => {
    const last = open.at(-1);
    if (last) last.text += more;
  };
  parser.on('text', add);
  parser.on('cdata', add);
  parser.write(text).close();
  if (root === undefined) throw invalid('it is empty');
  return root;
}

/**
 * XML that is the text of an element, and the budget for what is within it; undefined if there is none. Errors:
 * `import-invalid`.
 */
export function readInner(
  { text }: Element,
  budget: XmlBudget,
): { root: Element; within: XmlBudget } | undefined {
  const xml = text.trim();
  if (!xml.startsWith('<')) return undefined;
  if (budget.nesting === 0) throw invalid('it has XML within XML too often');
  const within = inner(budget);
  return { root: readXml(xml, within), within };
}

/** The same counts, one level below. */
function inner(budget: XmlBudget): XmlBudget {
  return {
    get characters() {
      return budget.characters;
    },
    set characters(left) {
      budget.characters = left;
    },
    get elements() {
      return budget.elements;
    },
    set elements(left) {
      budget.elements = left;
    },
    nesting: budget.nesting - 1,
  };
}

export function child(element: Element | undefined, ...path: string[]): Element | undefined {
  return path.reduce<Element | undefined>(
    (at, name) => at?.children.find((each) => each.name === name),
    element,
  );
}

export function children(element: Element | undefined, name: string): Element[] {
  return element?.children.filter((each) => each.name === name) ?? [];
}

/** Text of the element at a path; undefined if it is empty or not there. */
export function textAt(element: Element | undefined, ...path: string[]): string | undefined {
  const text = child(element, ...path)?.text.trim();
  return text === '' ? undefined : text;
}

/** The text of a file in UTF-8, or UTF-16 with its mark. Errors: `import-invalid`. */
export function decodeXml(octets: Buffer): string {
  const [first, second] = octets;
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(octets);
  } catch {
    throw invalid(`it is not ${encoding.toUpperCase()}`);
  }
}
