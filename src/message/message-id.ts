/** Octets of a message in which the Message-ID is looked for. */
const LOOK_AT = 64 * 1024;

/**
 * Finds the Message-ID (RFC 5322 section 3.6.4) of a message that passes by in pieces, for the ledger: cheap,
 * not strict, and never an error. It keeps the first 64 KiB at most, and only until the header ends.
 */
export class MessageIdFinder {
  #kept: Buffer[] = [];
  #octets = 0;
  #lookAgain = 0;
  #done = false;
  #found: string | null = null;

  push(chunk: Buffer): void {
    if (this.#done) return;
    this.#kept.push(chunk);
    this.#octets += chunk.length;
    if (this.#octets < this.#lookAgain) return;
    const head = this.#kept.length === 1 ? chunk : Buffer.concat(this.#kept);
    const end = endOfHeader(head);
    if (end < 0 && this.#octets < LOOK_AT) {
      this.#kept = [head];
      // a client that sends octet by octet must not make this quadratic
      this.#lookAgain = Math.min(LOOK_AT, this.#octets * 2);
      return;
    }
    this.#finish(head.subarray(0, Math.min(end < 0 ? head.length : end, LOOK_AT)));
  }

  /** The Message-ID with its angle brackets, or null when there is none. To be called after the last piece. */
  end(): string | null {
    if (!this.#done) this.#finish(Buffer.concat(this.#kept));
    return this.#found;
  }

  #finish(header: Buffer): void {
    this.#done = true;
    this.#kept = [];
    this.#found = /^message-id[ \t]*:\s*(<[!-;=?-~]{1,996}>)/im.exec(header.toString('latin1'))?.[1] ?? null;
  }
}

function endOfHeader(head: Buffer): number {
  const crlf = head.indexOf('\r\n\r\n');
  return crlf >= 0 ? crlf : head.indexOf('\n\n');
}
