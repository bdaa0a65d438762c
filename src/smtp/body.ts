import type { Socket } from 'node:net';
import { Writable } from 'node:stream';

const LF = 0x0a;
const DOT = 0x2e;
const aDot = Buffer.from('.');
const end = Buffer.from('.\r\n');
const endOfOpenLine = Buffer.from('\r\n.\r\n');

/**
 * The content sent after DATA, up to the final dot (RFC 5321, section 4.5.2). All line ends must be CRLF. The search
 * for dots is native, and the last octets of a message are written together with the final dot. For a message of 10 KB,
 * nodemailer's own stream took longer than the rest of the transaction.
 */
export class Body extends Writable {
  readonly #socket: Socket;
  /** Called with each write that the other side is waiting for. */
  #held: Buffer[] = [];
  #lineStart = true;
  /** Octets passed to the connection so far. */
  begun = false;
  /** Whether everything was passed to the connection. */
  complete = false;

  constructor(socket: Socket) {
    super({ decodeStrings: false });
    this.#socket = socket;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const flows = this.#flush();
    this.#held = this.#stuffed(chunk);
    if (flows) done();
    else this.#socket.once('drain', done);
  }

  override _final(done: () => void): void {
    this.#held.push(this.#lineStart ? end : endOfOpenLine);
    this.#flush();
    this.complete = true;
    done();
  }

  /** Passes on what was held back; false if the connection asks for a pause. */
  #flush(): boolean {
    const pieces = this.#held;
    if (pieces.length === 0) return true;
    this.begun = true;
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
    return !this.#socket.writableNeedDrain;
  }

  /** The octets, with a dot added in front of each line that begins with one. */
  #stuffed(chunk: Buffer): Buffer[] {
    if (chunk.length === 0) return [];
    const pieces: Buffer[] = [];
    if (this.#lineStart && chunk[0] === DOT) pieces.push(aDot);
    let from = 0;
    for (let at = chunk.indexOf('\n.'); at >= 0; at = chunk.indexOf('\n.', from)) {
      pieces.push(chunk.subarray(from, at + 1), aDot);
      from = at + 1;
    }
    pieces.push(chunk.subarray(from));
    this.#lineStart = chunk[chunk.length - 1] === LF;
    return pieces;
  }
}
