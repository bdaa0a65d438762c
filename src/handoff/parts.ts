import { createHash } from 'node:crypto';
import { type Budget, costs } from '../budget.ts';
import { BufferSink, type ContentType, type MessageLimits, type Sink } from '../message/index.ts';
import { plainText, readText } from './mail-text.ts';
import type { ContentKind } from './message.ts';
import { createWalker, type PartFacts } from './walk.ts';

/** A part in the JSON document: its description and, if the content is inlined, its text or octets. */
export interface PartJson extends PartFacts {
  /** Decoded octets. */
  octets: number;
  /** SHA-256 of the decoded octets, in hex. */
  sha256: string;
  /** For text parts: as Unicode, of this part only. HTML is unchanged. */
  text?: string;
  /** For other parts. */
  content?: { encoding: 'base64'; data: string };
}

/** Counts and digests the octets of a part, and keeps them if they are to be inlined. */
class PartCollector implements Sink {
  readonly facts: PartFacts;
  readonly #contentType: ContentType;
  readonly #hash = createHash('sha256');
  readonly #kept: BufferSink | undefined;
  #octets = 0;

  constructor(facts: PartFacts, contentType: ContentType, keep: boolean) {
    this.facts = facts;
    this.#contentType = contentType;
    this.#kept = keep ? new BufferSink() : undefined;
  }

  write(chunk: Buffer): void {
    this.#octets += chunk.length;
    this.#hash.update(chunk);
    this.#kept?.write(chunk);
  }

  end(): void {}

  async toJson(budget: Budget | undefined, mayParse: boolean): Promise<PartJson> {
    const json: PartJson = { ...this.facts, octets: this.#octets, sha256: this.#hash.digest('hex') };
    if (this.#kept === undefined) return json;
    const data = this.#kept.toBuffer();
    if (json.contentType.startsWith('text/')) {
      const plain = plainText(this.#contentType, data);
      if (plain === undefined) {
        if (!mayParse) throw new NeedsParser();
        budget?.spend(costs.text(data.length, linesOf(data)));
      }
      const text = plain === undefined ? await readText(this.#contentType, data) : plain.text;
      if (text !== undefined) {
        drawForJson(text.length, budget);
        return { ...json, text };
      }
    }
    drawForJson((data.length * 4) / 3, budget);
    return { ...json, content: { encoding: 'base64', data: data.toString('base64') } };
  }
}

function linesOf(octets: Buffer): number {
  let lines = 1;
  for (let at = octets.indexOf(0x0a); at >= 0; at = octets.indexOf(0x0a, at + 1)) lines++;
  return lines;
}

/**
 * Charges the cost of content that is in the document, once as a string and once as octets. Errors: `work-limit`,
 * `output-limit`.
 */
export function drawForJson(characters: number, budget: Budget | undefined): void {
  budget?.spend(characters * costs.jsonOctet);
  budget?.produce(Math.ceil(characters));
}

/** A text that only mailparser can read, where it must not be used. */
export class NeedsParser extends Error {}

/** Octets that go through the stages at once, so that intermediate results become garbage quickly. */
const PIECE = 64 * 1024;

/**
 * Lists the leaf parts of the content. With `inline`, each also has its text or octets, and the caller must limit the
 * size of the content. Without it, memory is bounded for any content.
 *
 * Errors: those of `createWalker`; `work-limit` and `output-limit` of the budget in the limits; `NeedsParser`.
 */
export async function readParts(
  kind: ContentKind,
  content: AsyncIterable<Buffer> | Iterable<Buffer>,
  options: { inline: boolean; limits: MessageLimits; mayParse?: boolean | undefined },
): Promise<PartJson[]> {
  const collectors: PartCollector[] = [];
  const walker = createWalker(
    kind,
    (facts, contentType) => {
      const collector = new PartCollector(facts, contentType, options.inline);
      collectors.push(collector);
      return collector;
    },
    options.limits,
  );
  for await (const chunk of content)
    for (let at = 0; at < chunk.length; at += PIECE) walker.write(chunk.subarray(at, at + PIECE));
  walker.end();
  const parts: PartJson[] = [];
  for (const collector of collectors)
    parts.push(await collector.toJson(options.limits.budget, options.mayParse ?? true));
  return parts;
}
