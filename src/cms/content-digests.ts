import { createHash, type Hash } from 'node:crypto';
import { type Budget, costs } from '../budget.ts';
import type { Sink } from '../message/index.ts';
import { type DigestInfo, digestByName } from './algorithms.ts';
import type { DetachedContent } from './content-reader.ts';

/**
 * Digests signed content as it passes through. Small content is also kept, because some signature schemes need the
 * content instead of its digest if there are no signed attributes.
 */
export class ContentDigests implements Sink {
  readonly #hashes = new Map<string, Hash>();
  readonly #limit: number;
  readonly #budget: Budget | undefined;
  /** Of one octet through all digests. */
  #cost = 0;
  #kept: Buffer[] | undefined = [];
  #length = 0;
  readonly #digests = new Map<string, Buffer>();

  /**
   * @param names of the registry ("sha256"); unknown ones are left out
   * @param keep octets of content that may be kept
   * @param budget of the message that is read; none for one that is written
   */
  constructor(names: Iterable<string>, keep: number = 1 << 20, budget?: Budget) {
    this.#limit = keep;
    this.#budget = budget;
    for (const name of names) {
      const info = digestByName.get(name);
      if (info === undefined || this.#hashes.has(name)) continue;
      this.#hashes.set(name, createHash(info.node, outputOf(info)));
      this.#cost += costs.digestOctet(name);
    }
  }

  /** A copy that continues from here; not after `end`. */
  fork(): ContentDigests {
    const other = new ContentDigests([], this.#limit, this.#budget);
    other.#cost = this.#cost;
    for (const [name, hash] of this.#hashes)
      other.#hashes.set(name, hash.copy(outputOf(digestByName.get(name))));
    other.#kept = this.#kept?.slice();
    other.#length = this.#length;
    return other;
  }

  write(chunk: Buffer): void {
    this.#budget?.spend(chunk.length * this.#cost);
    for (const hash of this.#hashes.values()) hash.update(chunk);
    this.#length += chunk.length;
    if (this.#length > this.#limit) this.#kept = undefined;
    this.#kept?.push(chunk);
  }

  end(): void {
    for (const [name, hash] of this.#hashes) this.#digests.set(name, hash.digest());
    this.#hashes.clear();
  }

  /** Call after `end`: what `CmsOptions.detached` takes. */
  get result(): DetachedContent {
    return {
      digests: this.#digests,
      content: this.#kept === undefined ? undefined : Buffer.concat(this.#kept),
    };
  }
}

/** The option that node:crypto needs for digests of variable length. */
function outputOf(info: DigestInfo | undefined): { outputLength: number } | undefined {
  return info?.name.startsWith('shake') ? { outputLength: info.octets } : undefined;
}
