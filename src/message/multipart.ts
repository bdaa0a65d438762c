import { type Budget, costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { defaultMessageLimits, type MessageLimits } from './limits.ts';
import type { Sink } from './sink.ts';

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const SPACE = 0x20;
const TAB = 0x09;
/** White space that a gateway may have added to a delimiter line (RFC 2046, section 5.1.1). */
const MAX_PADDING = 1000;

/** Where the octets of a multipart body go. */
export interface MultipartHandler {
  /** Returns the sink for the part with this index (from 0). It ends where the part ends. */
  part(index: number): Sink;
  /** The sink for octets before the first delimiter. Default: they are dropped. */
  preamble?: Sink;
  /** The sink for octets after the closing delimiter. Default: they are dropped. */
  epilogue?: Sink;
}

type LineKind = 'delimiter' | 'close' | 'text' | 'open';

/**
 * Splits a multipart body (RFC 2046, section 5.1.1) as a stream. The octets of a part are exact: the line end before a
 * delimiter belongs to the delimiter. Line ends may be CRLF or LF. If the closing delimiter is missing, the last part
 * ends with the body (see `closed`).
 *
 * Errors: `mime-malformed` for an impossible boundary, `mime-limit` for a boundary that is too long, or for too many
 * parts.
 */
export class MultipartSplitter implements Sink {
  readonly #handler: MultipartHandler;
  readonly #limits: MessageLimits;
  readonly #marker: Buffer;
  /**
   * The marker together with the line end before it. When this is searched for, lines of dashes cost no more than other
   * text.
   */
  readonly #atLine: Buffer;
  readonly #budget: Budget | undefined;
  #current: Sink | undefined;
  #region: 'preamble' | 'part' | 'epilogue' = 'preamble';
  #carry: Buffer = Buffer.alloc(0);
  /** Whether the first octet in the carry, or else the next octet, is at the start of a line. */
  #lineStart = true;
  /** Number of parts begun so far. */
  parts = 0;
  /** Whether the closing delimiter was found. */
  closed = false;

  /** @param limits with the budget to draw on: nested multiparts are scanned once per level */
  constructor(boundary: string, handler: MultipartHandler, limits: MessageLimits = defaultMessageLimits) {
    const name = boundary.trimEnd();
    if (name === '') throw new SealpostError('mime-malformed', 'a multipart has no boundary parameter');
    if (name.length > limits.boundaryLength) {
      throw new SealpostError(
        'mime-limit',
        `a multipart boundary is longer than ${limits.boundaryLength} characters`,
      );
    }
    this.#handler = handler;
    this.#limits = limits;
    this.#current = handler.preamble;
    this.#marker = Buffer.from(`--${name}`, 'utf8');
    this.#atLine = Buffer.from(`\n--${name}`, 'utf8');
    this.#budget = limits.budget;
  }

  write(chunk: Buffer): void {
    if (this.#region === 'epilogue') {
      this.#current?.write(chunk);
      return;
    }
    this.#budget?.spend(chunk.length * costs.searchedOctet);
    const octets = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    const rest = this.#process(octets, false);
    this.#carry = rest.length === 0 ? rest : Buffer.from(rest);
  }

  end(): void {
    if (this.#carry.length > 0) this.#process(this.#carry, true);
    this.#carry = Buffer.alloc(0);
    this.#current?.end();
    this.#current = undefined;
  }

  /** Handles everything that can be decided. Returns what must wait for more octets. */
  #process(octets: Buffer, final: boolean): Buffer {
    let start = 0;
    let search = 0;
    while (this.#region !== 'epilogue') {
      const at = this.#findMarker(octets, search);
      if (at < 0) break;
      const line = this.#lineKind(octets, at, final);
      if (line.kind === 'open') return this.#keep(octets, start, lineEndBefore(octets, start, at));
      if (line.kind === 'text') {
        search = at + 1;
        continue;
      }
      this.#emit(octets, start, lineEndBefore(octets, start, at));
      this.#current?.end();
      this.#enter(line.kind);
      start = line.next;
      search = start;
      this.#lineStart = true;
    }
    const end = final || this.#region === 'epilogue' ? octets.length : this.#safeEnd(octets, start);
    return this.#keep(octets, start, end);
  }

  /** Emits from `start` to `end` and returns the rest. */
  #keep(octets: Buffer, start: number, end: number): Buffer {
    this.#emit(octets, start, end);
    return octets.subarray(end);
  }

  #emit(octets: Buffer, start: number, end: number): void {
    if (end <= start) return;
    this.#lineStart = octets[end - 1] === LF;
    this.#current?.write(start === 0 && end === octets.length ? octets : octets.subarray(start, end));
  }

  /** Index of the next marker at the start of a line, or -1. */
  #findMarker(octets: Buffer, from: number): number {
    if (from === 0 && this.#lineStart && startsWith(octets, this.#marker)) return 0;
    // the first octets after a delimiter line are at the start of a line too, and their LF is in the same buffer
    const lf = octets.indexOf(this.#atLine, Math.max(0, from - 1));
    if (lf < 0) return -1;
    this.#budget?.spend(costs.comparison);
    return lf + 1;
  }

  #lineKind(octets: Buffer, at: number, final: boolean): { kind: LineKind; next: number } {
    let next = at + this.#marker.length;
    let kind: LineKind = 'delimiter';
    if (octets[next] === DASH && octets[next + 1] === DASH) {
      kind = 'close';
      next += 2;
    } else if (octets[next] === DASH && next + 1 >= octets.length && !final) return { kind: 'open', next };
    const padding = next;
    while (octets[next] === SPACE || octets[next] === TAB) next++;
    if (next - padding > MAX_PADDING) return { kind: 'text', next };
    if (octets[next] === LF) return { kind, next: next + 1 };
    if (octets[next] === CR && octets[next + 1] === LF) return { kind, next: next + 2 };
    const undecided = next >= octets.length || (octets[next] === CR && next + 1 >= octets.length);
    if (!undecided) return { kind: 'text', next };
    return final ? { kind, next: octets.length } : { kind: 'open', next };
  }

  #enter(kind: 'delimiter' | 'close'): void {
    if (kind === 'close') {
      this.closed = true;
      this.#region = 'epilogue';
      this.#current = this.#handler.epilogue;
      return;
    }
    if (this.parts >= this.#limits.parts) {
      throw new SealpostError('mime-limit', `a multipart has more than ${this.#limits.parts} parts`);
    }
    this.#budget?.spend(costs.part);
    this.#region = 'part';
    this.#current = this.#handler.part(this.parts);
    this.parts++;
  }

  /** How far the octets cannot belong to a delimiter that continues in the next chunk. */
  #safeEnd(octets: Buffer, start: number): number {
    const tail = Math.max(start, octets.length - this.#marker.length);
    const lf = octets.lastIndexOf(LF);
    const lineStart =
      lf >= tail - 1 && lf >= start ? lf + 1 : start === tail && this.#atStart(start) ? start : -1;
    if (lineStart >= 0) {
      const begun = octets.subarray(lineStart);
      if (begun.equals(this.#marker.subarray(0, begun.length)))
        return lineEndBefore(octets, start, lineStart);
    }
    return octets[octets.length - 1] === CR && octets.length > start ? octets.length - 1 : octets.length;
  }

  #atStart(start: number): boolean {
    return start > 0 || this.#lineStart;
  }
}

function startsWith(octets: Buffer, prefix: Buffer): boolean {
  return octets.length >= prefix.length && octets.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

/** Where the text before a delimiter at `at` ends: without the CRLF or LF before it. */
function lineEndBefore(octets: Buffer, start: number, at: number): number {
  if (at - 1 < start || octets[at - 1] !== LF) return at;
  return at - 2 >= start && octets[at - 2] === CR ? at - 2 : at - 1;
}
