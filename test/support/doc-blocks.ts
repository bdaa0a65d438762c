/** Blocks of code in our documents, and what a command of theirs prints. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export interface DocBlock {
  /** Such as `docs/sending.md:37`. */
  place: string;
  /** What follows the fence: `yaml`, `console`, `sh`; `indented` for a block without a fence. */
  kind: string;
  lines: string[];
}

/** All blocks of a document, in order. @param file from the top folder of the project */
export function blocksOf(file: string): DocBlock[] {
  const lines = readFileSync(resolve(root, file), 'utf8').split('\n');
  const blocks: DocBlock[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const place = `${file}:${at + 1}`;
    const fence = /^```(\w*)/.exec(line);
    if (fence) {
      const end = lines.findIndex((each, index) => index > at && each.startsWith('```'));
      blocks.push({ place, kind: fence[1] || 'plain', lines: lines.slice(at + 1, end) });
      at = end;
    } else if (/^ {4}\S/.test(line) && (lines[at - 1] ?? '').trim() === '') {
      let end = at;
      while (end < lines.length && (/^ {4}/.test(lines[end] ?? '') || lines[end] === '')) end += 1;
      const text = lines.slice(at, end).map((each) => each.slice(4));
      while (text.at(-1) === '') text.pop();
      blocks.push({ place, kind: 'indented', lines: text });
      at = end - 1;
    }
  }
  return blocks;
}

/** Those of a section of second level. */
export function blocksBelow(file: string, heading: string): DocBlock[] {
  const lines = readFileSync(resolve(root, file), 'utf8').split('\n');
  const first = lines.indexOf(`## ${heading}`);
  if (first < 0) throw new Error(`${file} has no section ${heading}`);
  const end = lines.findIndex((line, at) => at > first && line.startsWith('## '));
  const lineOf = ({ place }: DocBlock) => Number(place.slice(place.lastIndexOf(':') + 1));
  return blocksOf(file).filter((block) => lineOf(block) > first && (end < 0 || lineOf(block) <= end));
}

/** Words of a command as a shell splits them: quotes, and no other magic. */
export function wordsOf(command: string): string[] {
  const words = command.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single),
  );
}

/** Commands that begin with `$ sealpost`, and the lines that they print. */
export function sessionsOf({ lines }: DocBlock): { args: string[]; printed: string }[] {
  const sessions: { args: string[]; printed: string[] }[] = [];
  for (const line of lines)
    if (line.startsWith('$ sealpost ')) sessions.push({ args: wordsOf(line).slice(2), printed: [] });
    else sessions.at(-1)?.printed.push(line);
  return sessions.map(({ args, printed }) => ({ args, printed: printed.join('\n').trim() }));
}

/** The same text for every run: ids, digests, times, process ids and what depends on their width. */
export function settled(text: string): string {
  return text
    .replaceAll(/\b[io][0-9a-f]{31}\b/g, 'ID')
    .replaceAll(/\b[0-9a-f]{64}\b/g, 'SHA256')
    .replaceAll(/\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{3}Z)?/g, 'TIME')
    .replaceAll(/[ \t]+$/gm, '')
    .trim();
}
