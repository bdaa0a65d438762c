import { SealpostError } from '../../errors.ts';
import { Base64Decoder, type Sink } from '../../message/index.ts';
import { cmsLabels } from '../../pki/index.ts';

const DASH = 0x2d;
const LF = 0x0a;
const MAX_LABEL_LINE = 1000;

/**
 * Decodes one PEM block (RFC 7468): text before and after it is ignored. Only labels of CMS objects are accepted.
 *
 * Errors: `transfer-encoding` if there is no such block or it does not end.
 */
export class PemDecoder implements Sink {
  readonly #body: Base64Decoder;
  readonly #output: Sink;
  #state: 'label' | 'body' | 'after' = 'label';
  #line: Buffer = Buffer.alloc(0);

  constructor(output: Sink) {
    this.#output = output;
    // the end of the base64 text must not end the output before the armor has been checked
    this.#body = new Base64Decoder({ write: (chunk) => output.write(chunk), end: () => {} });
  }

  write(chunk: Buffer): void {
    let rest = chunk;
    while (this.#state === 'label' && rest.length > 0) rest = this.#label(rest);
    if (this.#state !== 'body' || rest.length === 0) return;
    const dash = rest.indexOf(DASH);
    if (dash !== 0) this.#body.write(dash < 0 ? rest : rest.subarray(0, dash));
    if (dash >= 0) this.#finish();
  }

  end(): void {
    if (this.#state === 'label') throw broken('it has no BEGIN line for a CMS object');
    if (this.#state === 'body') throw broken('its END line is missing');
    this.#output.end();
  }

  #finish(): void {
    this.#state = 'after';
    this.#body.end();
  }

  /** Takes one line while searching for the label; returns what follows it. */
  #label(octets: Buffer): Buffer {
    const lf = octets.indexOf(LF);
    this.#line = Buffer.concat([this.#line, octets.subarray(0, lf < 0 ? octets.length : lf)]);
    if (this.#line.length > MAX_LABEL_LINE) throw broken('a line in front of it is too long');
    if (lf < 0) return octets.subarray(octets.length);
    const line = this.#line.toString('latin1').trim();
    this.#line = Buffer.alloc(0);
    if (beginsCms(line)) this.#state = 'body';
    return octets.subarray(lf + 1);
  }
}

/** A line without its line end. A byte order mark before it is skipped. */
function beginsCms(line: string): boolean {
  const label = /^(?:\xef\xbb\xbf)?-----BEGIN ([A-Z0-9# ]{1,64})-----$/.exec(line)?.[1];
  return label !== undefined && cmsLabels.has(label);
}

/** How much text before the block is searched. */
export const TEXT_BEFORE_PEM = 16 * 1024;

/** Whether one of the first lines starts a CMS object in PEM. */
export function hasPem(head: Buffer): boolean {
  const text = head.toString('latin1', 0, TEXT_BEFORE_PEM);
  for (let at = text.indexOf('-----BEGIN '); at >= 0; at = text.indexOf('-----BEGIN ', at + 1)) {
    if (at > 0 && text[at - 1] !== '\n') continue;
    const end = text.indexOf('\n', at);
    if (end >= 0 && beginsCms(text.slice(at, Math.min(end, at + MAX_LABEL_LINE)).trim())) return true;
  }
  return false;
}

function broken(what: string): SealpostError {
  return new SealpostError('transfer-encoding', `this is not a PEM file of a CMS object: ${what}`);
}
