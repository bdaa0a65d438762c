import { Budget, costs } from '../../budget.ts';
import {
  CanonicalSink,
  decodeWords,
  defaultMessageLimits,
  type HeaderBlock,
  HeaderSplitter,
  type MessageLimits,
  NullSink,
  type Sink,
} from '../../message/index.ts';
import { type Certificate, keyTraits } from '../../pki/index.ts';
import { attachmentField } from './attachment.ts';
import type { EncodeOptions } from './encode-options.ts';
import { checkKeys } from './key-requirements.ts';
import { isEntityDetached, stackLayers } from './layer-stack.ts';
import { legacyDisplayEntity } from './legacy-display-writer.ts';
import { splitHeader } from './outer-header.ts';
import { type SevenBitMode, sevenBitEntity } from './seven-bit.ts';
import type { TransferSurvey } from './transfer-survey.ts';

export type { EncodeOptions, EncryptOptions, KeyRequirements, SignOptions } from './encode-options.ts';

/**
 * Signs, encrypts and compresses one message that is pushed in chunks of any size, in constant memory. The input
 * is a full mail (RFC 5322). Its Content-* fields and body become the protected entity, with CRLF line ends; its
 * other fields stay outside (with header protection inside too), but Bcc, which nobody may see.
 *
 * Errors: `encode-recipient`, `encode-signer`, `encode-policy`; `mime-limit`, `mime-malformed` for the
 * message.
 */
export class Encoder implements Sink {
  readonly #input: Sink;
  readonly #budget: Budget;
  readonly #octetCost: number;
  #octets = 0;

  /** @param survey what a first pass over the same message found; spares a needless transfer encoding */
  constructor(output: Sink, options: EncodeOptions, survey?: TransferSurvey) {
    checkKeys(options);
    // what nobody wraps goes through servers as it is, like what is signed in clear
    const mode = isEntityDetached(options) || isClear(options) ? 'signed' : 'binary-only';
    const { budget = new Budget() } = options;
    this.#budget = budget;
    this.#octetCost = octetCost(options);
    budget.spend(keyCost(options));
    const limits = { ...(options.limits ?? defaultMessageLimits), budget };
    this.#input = new HeaderSplitter((headers) => {
      const { outer, inner } = halves(headers, options);
      for (const field of outer) output.write(field);
      output.write(Buffer.from('MIME-Version: 1.0\r\n'));
      // canonical before it is signed, because a later hop would do it otherwise (threats S14)
      const canonical = new CanonicalSink(stackLayers(output, options), 'cr-and-lf');
      return entitySink(inner, canonical, { mode, limits, survey, subject: hiddenSubject(headers, options) });
    }, limits);
  }

  write(chunk: Buffer): void {
    this.#octets += chunk.length;
    this.#budget.received(this.#octets);
    this.#budget.spend(chunk.length * this.#octetCost);
    this.#input.write(chunk);
  }

  end(): void {
    this.#input.end();
  }
}

/** What an octet costs on its way through the entity and each layer; those below a signature have digests to make. */
function octetCost({ sign, encrypt, signAgain, compress }: EncodeOptions): number {
  const layers = [sign, encrypt, signAgain, compress].filter((each) => each !== undefined).length;
  const digests = [sign, signAgain].flatMap((each) => (each === undefined ? [] : [each.digest ?? 'sha256']));
  const hashed = digests.reduce((sum, digest) => sum + costs.digestOctet(digest), 0);
  const cipher = encrypt === undefined ? 0 : costs.cipherOctet(familyOf(encrypt.contentEncryption));
  const packed = compress === undefined ? 0 : costs.deflatedOctet;
  return costs.encodedOctet * (1 + layers) + hashed + cipher + packed;
}

function familyOf(cipher: string): string {
  const [family = ''] = cipher.toLowerCase().split('-');
  if (family === 'des') return cipher.includes('ede3') ? 'des3' : 'des';
  return family.startsWith('chacha20') ? 'chacha20' : family;
}

/** What signers and recipients cost, whose number the operator chooses. */
function keyCost({ sign, encrypt, signAgain }: EncodeOptions): number {
  const signers = [sign, signAgain].flatMap((each) =>
    each === undefined ? [] : [each.identity, ...(each.coSigners ?? [])],
  );
  const recipients = encrypt?.recipients ?? [];
  const signing = signers.reduce((sum, { certificate }) => sum + costs.rsaPrivate(bitsOf(certificate)), 0);
  return signing + recipients.length * (costs.key + costs.rsaPublic(4096, 64));
}

/** Of an RSA key; others sign faster than one of 2,048 bits. */
function bitsOf({ publicKeyInfo }: Certificate): number {
  const { family, bits = 2048 } = keyTraits(publicKeyInfo);
  return family === 'rsa' ? bits : 2048;
}

/** Whether the entity goes out with nothing around it. */
export function isClear({ sign, encrypt, compress }: EncodeOptions): boolean {
  return sign === undefined && encrypt === undefined && compress === undefined;
}

/** A first pass over a message: notes in `survey` which of its parts are 7bit. Gives nothing out. */
export function surveyMessage(options: EncodeOptions, survey: TransferSurvey): Sink {
  const { budget = new Budget() } = options;
  const limits = { ...(options.limits ?? defaultMessageLimits), budget };
  let octets = 0;
  const entity = new HeaderSplitter((headers) => {
    const subject = hiddenSubject(headers, options);
    return entitySink(halves(headers, options).inner, new NullSink(), {
      mode: 'signed',
      limits,
      survey,
      subject,
    });
  }, limits);
  return {
    write: (chunk) => {
      octets += chunk.length;
      budget.received(octets);
      budget.spend(chunk.length * costs.octet);
      entity.write(chunk);
    },
    end: () => entity.end(),
  };
}

function halves({ fields }: HeaderBlock, options: EncodeOptions): ReturnType<typeof splitHeader> {
  const attachment = options.bodyAsAttachment === true ? attachmentField(fields) : undefined;
  const confidential = options.encrypt === undefined ? 'clear' : 'cipher';
  const { outer, inner } = splitHeader(fields, options.headerProtection === true ? confidential : undefined);
  return { outer, inner: attachment === undefined ? inner : [...inner, attachment] };
}

/** The subject that stands in the text for readers that do not show the protected one; undefined: it need not. */
function hiddenSubject(headers: HeaderBlock, options: EncodeOptions): string | undefined {
  const { encrypt, headerProtection, legacyDisplay } = options;
  if (legacyDisplay !== true || headerProtection !== true || encrypt === undefined) return undefined;
  const subject = decodeWords(headers.get('subject') ?? '')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  return subject === '' ? undefined : subject;
}

interface EntityHow {
  mode: SevenBitMode;
  limits: MessageLimits;
  survey: TransferSurvey | undefined;
  subject: string | undefined;
}

/** Takes the body; writes it after its header to `output`, which it ends. */
function entitySink(
  header: readonly Buffer[],
  output: Sink,
  { mode, limits, survey, subject }: EntityHow,
): Sink {
  const sevenBit = sevenBitEntity(output, mode, limits, 0, survey);
  const shown = subject === undefined ? undefined : legacyDisplayEntity(sevenBit, subject, limits);
  const entity = shown ?? sevenBit;
  for (const field of header) entity.write(field);
  entity.write(Buffer.from('\r\n'));
  return {
    write: (chunk) => entity.write(chunk),
    end: () => {
      shown?.end();
      sevenBit.end();
      output.end();
    },
  };
}
