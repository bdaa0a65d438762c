import { createHash, type Hash, hash as hashOf } from 'node:crypto';
import { type Budget, costs } from '../budget.ts';
import type { Sink } from '../message/index.ts';
import { type DigestInfo, digestByName } from './algorithms.ts';
import type { DetachedContent } from './content-reader.ts';

/**
 * Content up to this many octets is digested at its end, in one call: that takes half the time of a digest that is kept
 * open.
 */
const SMALL = 64 * 1024;

/**
 * Digests signed content as it passes through. Small content is also kept, because without signed attributes some
 * signature schemes need the content instead of its digest.
 */
export class ContentDigests implements Sink {
  readonly #names = new Map<string, DigestInfo>();
  /** All content so far; undefined once there is too much to be kept. */
  #held: Buffer[] | undefined = [];
  /** Open from then on. */
  readonly #hashes = new Map<string, Hash>();
  readonly #limit: number;
  readonly #budget: Budget | undefined;
  /** The cost of one octet through all digests. */
  #cost = 0;
  #kept: Buffer[] | undefined = [];
  #length = 0;
  readonly #digests = new Map<string, Buffer>();

  /**
   * @param names in the registry ("sha256"); unknown ones are left out
   * @param keep octets of content that may be kept
   * @param budget of the message that is read; none for one that is written
   */
  constructor(names: Iterable<string>, keep: number = 1 << 20, budget?: Budget) {
    this.#limit = keep;
    this.#budget = budget;
    for (const name of names) {
      const info = digestByName.get(name);
      if (info === undefined || this.#names.has(name)) continue;
      this.#names.set(name, info);
      this.#cost += costs.digestOctet(name);
    }
  }

  /** A copy that continues from here. Not after `end`. */
  fork(): ContentDigests {
    const other = new ContentDigests([], this.#limit, this.#budget);
    other.#cost = this.#cost;
    other.#held = this.#held?.slice();
    for (const [name, info] of this.#names) other.#names.set(name, info);
    for (const [name, hash] of this.#hashes)
      other.#hashes.set(name, hash.copy(outputOf(digestByName.get(name))));
    other.#kept = this.#kept?.slice();
    other.#length = this.#length;
    return other;
  }

  write(chunk: Buffer): void {
    this.#budget?.spend(chunk.length * this.#cost);
    this.#length += chunk.length;
    if (this.#held !== undefined) {
      this.#held.push(chunk);
      if (this.#length > SMALL) this.#open(this.#held);
    } else for (const hash of this.#hashes.values()) hash.update(chunk);
    if (this.#length > this.#limit) this.#kept = undefined;
    this.#kept?.push(chunk);
  }

  #open(held: readonly Buffer[]): void {
    this.#held = undefined;
    for (const [name, info] of this.#names) {
      const hash = createHash(info.node, outputOf(info));
      for (const chunk of held) hash.update(chunk);
      this.#hashes.set(name, hash);
    }
  }

  end(): void {
    const [first] = this.#held ?? [];
    if (this.#held !== undefined) {
      const whole = this.#held.length === 1 && first !== undefined ? first : Buffer.concat(this.#held);
      for (const [name, info] of this.#names) this.#digests.set(name, digestOf(info, whole));
    }
    for (const [name, hash] of this.#hashes) this.#digests.set(name, hash.digest());
    this.#held = undefined;
    this.#hashes.clear();
  }

  /** What `CmsOptions.detached` takes. Call after `end`. */
  get result(): DetachedContent {
    return new KeptContent(this.#digests, this.#kept);
  }
}

/** A class, because an accessor of an object literal keeps the object until the next full collection. */
class KeptContent implements DetachedContent {
  readonly digests: DetachedContent['digests'];
  readonly #kept: readonly Buffer[] | undefined;

  constructor(digests: DetachedContent['digests'], kept: readonly Buffer[] | undefined) {
    this.digests = digests;
    this.#kept = kept;
  }

  /** Few signatures need it. */
  get content(): Buffer | undefined {
    return this.#kept === undefined ? undefined : Buffer.concat(this.#kept);
  }
}

function digestOf(info: DigestInfo, octets: Buffer): Buffer {
  const output = outputOf(info);
  if (output !== undefined) return createHash(info.node, output).update(octets).digest();
  return hashOf(info.node, octets, 'buffer');
}

/** The option that node:crypto requires for digests of variable length. */
function outputOf(info: DigestInfo | undefined): { outputLength: number } | undefined {
  return info?.name.startsWith('shake') ? { outputLength: info.octets } : undefined;
}
