import { readConfig } from '../../src/config/load.ts';
import type { PartnerConfig } from '../../src/config/schema.ts';
import { type Authors, parseHeaders, readMailHeader } from '../../src/message/index.ts';

/** Partners as the configuration reader makes them; `entries` is YAML below `partners:`. They neither encrypt nor sign. */
export function partnersOf(entries: string): PartnerConfig[] {
  const plain = entries.replaceAll(/ \}\s*$/gm, ', encrypt: false, sign: none }');
  const read = readConfig(`partners:${plain.trimEnd() === '' ? ' []' : plain}`, 'partners.yaml');
  if (read.config === undefined) throw new Error(JSON.stringify(read.problems));
  return read.config.partners;
}

/** What a header of these lines says about who it is from. */
export function authorsOf(...lines: string[]): Authors {
  return readMailHeader(parseHeaders(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`))).authors;
}
