/** Mail to partners signed with DKIM. */
import { type DkimKey, recordName, Signing } from '../dkim/index.ts';
import type { Spool, SpoolRef, SpoolWriter } from '../spool/index.ts';

/**
 * Octets up to which a message stays in memory until it is signed. That is all of a message whose content is below 1
 * MiB.
 */
const IN_MEMORY = 1536 * 1024;

export interface DkimParts {
  keys: readonly DkimKey[];
  spool: Pick<Spool, 'draft' | 'open' | 'remove'>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Called before the first octet with the keys that sign, as `selector._domainkey.domain`. */
  onSigned: (names: readonly string[]) => void;
}

/**
 * The octets of a mail, with its signatures above them. A signature covers the body, but stands before it, and the mail
 * cannot be made twice, because it is encrypted with a new key each time. So it is kept until its end is known: in
 * memory, or sealed in the spool. A mail that no key signs passes through.
 *
 * Errors: those of the octets and of the spool.
 */
export async function* signedOctets(octets: AsyncIterable<Buffer>, parts: DkimParts): AsyncGenerator<Buffer> {
  const { keys, spool, now, onSigned } = parts;
  const signing = new Signing(keys);
  const held = new Held(spool);
  try {
    for await (const chunk of octets) {
      signing.write(chunk);
      if (!signing.isNone) await held.write(chunk);
      else {
        yield* held.take();
        yield chunk;
      }
    }
    signing.end();
    onSigned(signing.signers.map(recordName));
    const fields = signing.fields(now());
    if (fields.length > 0) yield fields;
    yield* held.take();
  } finally {
    await held.remove();
  }
}

/** Octets that are kept for a while. */
class Held {
  readonly #spool: DkimParts['spool'];
  #pieces: Buffer[] = [];
  #octets = 0;
  #draft: SpoolWriter | undefined;
  #stored: SpoolRef | undefined;

  constructor(spool: DkimParts['spool']) {
    this.#spool = spool;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#octets += chunk.length;
    this.#pieces.push(chunk);
    if (this.#octets <= IN_MEMORY) return;
    this.#draft ??= this.#spool.draft();
    for (const piece of this.#pieces.splice(0)) await this.#draft.write(piece);
  }

  /** All of them, in order. */
  async *take(): AsyncGenerator<Buffer> {
    if (this.#draft === undefined) {
      yield* this.#pieces.splice(0);
      return;
    }
    this.#stored = await this.#draft.commit();
    yield* this.#spool.open(this.#stored);
  }

  async remove(): Promise<void> {
    if (this.#stored !== undefined) await this.#spool.remove(this.#stored);
    else await this.#draft?.abort();
  }
}
