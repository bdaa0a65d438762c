/** JSON bodies, read strictly: every reader of the same octets must find the same values. */
import { refusal } from './problem.ts';

const deepest = 8;

/**
 * The value of a JSON text.
 *
 * @throws {SealpostError} `request-invalid` for what is not JSON in UTF-8, for an object that has a name twice, and for
 *   values that are nested too deeply
 */
export function parseJson(octets: Buffer): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
    checkDepth(text);
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError)
      throw refusal('request-invalid', 'the body is not JSON in UTF-8');
    throw error;
  }
  checkNames(text);
  return value;
}

/** The end of the string that begins at a quote: the position after its closing quote. */
function afterString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text[at - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return text.length;
}

const structure = /["{}[\]:,]/g;

/** Calls back for each bracket, comma and string. The text need not be valid JSON. */
function scan(text: string, found: (char: string, from: number, to: number) => void): void {
  structure.lastIndex = 0;
  for (let match = structure.exec(text); match; match = structure.exec(text)) {
    const [char] = match;
    const end = char === '"' ? afterString(text, match.index) : match.index + 1;
    found(char, match.index, end);
    structure.lastIndex = end;
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  scan(text, (char) => {
    if (char === '{' || char === '[') depth += 1;
    if (char === '}' || char === ']') depth -= 1;
    if (depth > deepest) throw refusal('request-invalid', 'the body is nested too deeply');
  });
}

/** @param text valid JSON */
function checkNames(text: string): void {
  /** For each open object, the names seen so far; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let isName = false;
  scan(text, (char, from, to) => {
    if (char === '{') open.push(new Set());
    if (char === '[') open.push(undefined);
    if (char === '}' || char === ']') open.pop();
    if (char === '"' && isName) {
      const name = String(JSON.parse(text.slice(from, to)));
      const names = open.at(-1);
      if (names?.has(name) || name === '__proto__')
        throw refusal('request-invalid', `the body has a name twice: ${JSON.stringify(name.slice(0, 60))}`);
      names?.add(name);
    }
    isName = char === '{' || (char === ',' && open.at(-1) !== undefined);
  });
}
