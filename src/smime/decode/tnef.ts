import { SealpostError } from '../../errors.ts';
import { type EntityInfo, NullSink, type Sink } from '../../message/index.ts';

/** Attributes of TNEF (MS-OXTNEF, section 2.1.3.2): type in the upper half, id in the lower one. */
const attMessageClass = 0x00078008;
const attAttachData = 0x0006800f;

const signature = 0x223e9f78;
const HEAD_OCTETS = 6;
/** Level, id and length of an attribute, before its data. */
const ATTRIBUTE_OCTETS = 9;
const CHECKSUM_OCTETS = 2;
const LONGEST_CLASS = 256;

export interface TnefHandler {
  /** Such as `IPM.Note.SMIME`. */
  messageClass?(name: string): void;
  /** Returns the sink for the attachment with this number (from 1). It ends where the data ends. */
  attachment?(number: number): Sink;
}

/** Recognizes a winmail.dat by its type or, from gateways that do not know the type, by its name. */
export function isTnef({ contentType, fileName }: EntityInfo): boolean {
  return (
    ['application/ms-tnef', 'application/vnd.ms-tnef'].includes(contentType.value) ||
    (contentType.value === 'application/octet-stream' && /^winmail\.dat$/i.test(fileName.trim()))
  );
}

/** Outlook's class for a message whose only attachment is the S/MIME object (MS-OXOSMIME, section 2.1.3.1). */
export function isSmimeClass(name: string): boolean {
  return /\.SMIME(?:\.|$)/i.test(name);
}

/**
 * Reads a TNEF stream (MS-OXTNEF) as far as S/MIME needs it: the class of the message and the data of its attachments.
 * Everything else is skipped, and only the head of an attribute is buffered. Checksums are ignored, because they
 * protect nothing and some writers get them wrong. The library on npm (node-tnef) has no types, takes only whole files,
 * and includes a logger and a command line.
 *
 * Errors: `mime-malformed` if it is not TNEF, or is truncated.
 */
export class TnefReader implements Sink {
  readonly #handler: TnefHandler;
  #held: Buffer = Buffer.alloc(0);
  #step: 'head' | 'attribute' | 'data' | 'checksum' = 'head';
  #left = 0;
  #data: Sink | undefined;
  #attachments = 0;

  constructor(handler: TnefHandler) {
    this.#handler = handler;
  }

  write(chunk: Buffer): void {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    for (;;) {
      if (this.#step === 'data') {
        const taken = rest.subarray(0, this.#left);
        if (taken.length > 0) this.#data?.write(taken);
        this.#left -= taken.length;
        rest = rest.subarray(taken.length);
        if (this.#left > 0) break;
        this.#data?.end();
        this.#data = undefined;
        this.#step = 'checksum';
      }
      const need = { head: HEAD_OCTETS, attribute: ATTRIBUTE_OCTETS, checksum: CHECKSUM_OCTETS }[this.#step];
      if (rest.length < need) break;
      this.#read(rest);
      rest = rest.subarray(need);
    }
    this.#held = rest.length === 0 ? rest : Buffer.from(rest);
  }

  end(): void {
    if (this.#step === 'attribute' && this.#held.length < ATTRIBUTE_OCTETS) return;
    throw malformed(this.#step === 'head' ? 'it is too short' : 'it ends in the middle');
  }

  #read(octets: Buffer): void {
    if (this.#step === 'head') {
      if (octets.readUInt32LE(0) !== signature) throw malformed('it does not begin with the TNEF signature');
      this.#step = 'attribute';
    } else if (this.#step === 'checksum') {
      this.#step = 'attribute';
    } else {
      const level = octets[0];
      if (level !== 1 && level !== 2) throw malformed('an attribute is at no known level');
      this.#left = octets.readUInt32LE(5);
      this.#data = this.#sinkOf(octets.readUInt32LE(1));
      this.#step = 'data';
    }
  }

  #sinkOf(attribute: number): Sink | undefined {
    if (attribute === attAttachData) return this.#handler.attachment?.(++this.#attachments) ?? new NullSink();
    if (attribute !== attMessageClass || this.#left > LONGEST_CLASS) return undefined;
    let name = '';
    return {
      write: (chunk) => {
        name += chunk.toString('latin1');
      },
      // a C string, so its NUL is cut off
      end: () => this.#handler.messageClass?.(name.replace(/\0.*$/s, '')),
    };
  }
}

function malformed(what: string): SealpostError {
  return new SealpostError('mime-malformed', `a winmail.dat is not TNEF: ${what}`);
}
