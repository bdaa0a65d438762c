import { MAX_LINE } from './ascii-header.ts';
import { CrWatch } from './canonical.ts';
import type { Sink } from './sink.ts';

/**
 * Checks whether octets are 7bit data (RFC 2045, section 2.7): no NUL, nothing above 127, no line above 998 octets.
 */
export class SevenBitScan {
  readonly #crs: CrWatch | undefined;
  #lineLength = 0;
  #safe = true;

  /** @param bareCr whether a CR without LF disqualifies the octets too */
  constructor(bareCr = false) {
    this.#crs = bareCr ? new CrWatch() : undefined;
  }

  /** `isSafe`, once all octets have been read. */
  get ends(): boolean {
    return this.#safe && this.#crs?.open !== true;
  }

  get isSafe(): boolean {
    return this.#safe;
  }

  /** Reads on; returns `isSafe`. */
  scan(chunk: Buffer): boolean {
    if (!this.#safe) return false;
    if (this.#crs?.push(chunk) === false) {
      this.#safe = false;
      return false;
    }
    let lineLength = this.#lineLength;
    for (const octet of chunk) {
      lineLength = octet === 0x0a ? 0 : lineLength + 1;
      // one more, because the CR of the line end is counted
      if (octet === 0 || octet > 127 || lineLength > MAX_LINE + 1) {
        this.#safe = false;
        return false;
      }
    }
    this.#lineLength = lineLength;
    return true;
  }
}

/**
 * Which of the parts that should be 7bit, labelled or not, really are. A first pass over the octets writes it, and a
 * second one reads it. So a large part needs neither memory nor an unnecessary encoding.
 */
export class TransferSurvey {
  readonly #safe: boolean[] = [];
  #next = 0;
  #reading = false;

  /** Ends the first pass. */
  finish(): this {
    this.#reading = true;
    return this;
  }

  /** In the first pass: the sink for the body of the next part; otherwise undefined. */
  scanner(): Sink | undefined {
    if (this.#reading) return undefined;
    const index = this.#safe.push(false) - 1;
    const scan = new SevenBitScan();
    return {
      write: (chunk) => void scan.scan(chunk),
      end: () => {
        this.#safe[index] = scan.isSafe;
      },
    };
  }

  /** In the second pass: whether the next part is 7bit. */
  next(): boolean {
    return this.#safe[this.#next++] ?? false;
  }
}
