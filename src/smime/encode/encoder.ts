import { type Budget, costs } from '../../budget.ts';
import { contentCipherOf } from '../../cms/algorithms.ts';
import {
  CanonicalSink,
  decodeWords,
  type HeaderBlock,
  HeaderSplitter,
  type MessageLimits,
  NullSink,
  type SevenBitMode,
  type Sink,
  sevenBitEntity,
  type TransferSurvey,
} from '../../message/index.ts';
import { type Certificate, keyTraits } from '../../pki/index.ts';
import { isEntityDetached, stackLayers } from './layer-stack.ts';
import { legacyDisplayEntity } from './legacy-display-writer.ts';
import {
  checkParties,
  type EncodeOptions,
  type Encoding,
  isClear,
  isEncrypted,
  isSigned,
  isSignedAgain,
  settle,
} from './options.ts';
import { attachmentField, splitHeader } from './outer-header.ts';

/**
 * Signs, encrypts and compresses one message that is pushed in chunks of any size, in constant memory. The input is a
 * full mail (RFC 5322). Its Content-* fields and body become the protected entity, with CRLF line ends. Its other
 * fields stay outside (with header protection also inside), except Bcc, which nobody may see.
 *
 * Errors: `encode-recipient`, `encode-signer`, `encode-policy`; `mime-limit`, `mime-malformed` for the message.
 */
export class Encoder implements Sink {
  readonly #input: Sink;
  readonly #budget: Budget;
  readonly #octetCost: number;
  #octets = 0;

  /** @param survey result of a first pass over the same message; it avoids needless transfer encodings */
  constructor(output: Sink, options: EncodeOptions | Encoding, survey?: TransferSurvey) {
    const encoding = settle(options);
    checkParties(encoding);
    // an unwrapped entity passes through servers unchanged, like one that is signed in clear
    const mode = isEntityDetached(encoding) || isClear(encoding) ? 'signed' : 'binary-only';
    const { limits } = encoding;
    this.#budget = limits.budget;
    this.#octetCost = octetCost(encoding);
    this.#budget.spend(keyCost(encoding));
    this.#input = new HeaderSplitter((headers) => {
      const { outer, inner } = halves(headers, encoding);
      for (const field of outer) output.write(field);
      output.write(Buffer.from('MIME-Version: 1.0\r\n'));
      // made canonical before signing, because a later hop would otherwise change it (threats S14)
      const canonical = new CanonicalSink(stackLayers(output, encoding), 'cr-and-lf');
      return entitySink(inner, canonical, {
        mode,
        limits,
        survey,
        subject: hiddenSubject(headers, encoding),
      });
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

/** The cost of an octet through the entity and each layer; layers below a signature also compute digests. */
function octetCost(encoding: Encoding): number {
  const { digest, contentEncryption, compress } = encoding;
  const signatures = Number(isSigned(encoding)) + Number(isSignedAgain(encoding));
  const packed = compress !== 'none';
  const layers = signatures + Number(isEncrypted(encoding)) + Number(packed);
  return (
    costs.encodedOctet * (1 + layers) +
    signatures * costs.digestOctet(digest) +
    (isEncrypted(encoding) ? costs.cipherOctet(contentCipherOf(contentEncryption)?.family ?? '') : 0) +
    (packed ? costs.deflatedOctet : 0)
  );
}

/** The cost of signers and recipients, of which the operator chooses the number. */
function keyCost(encoding: Encoding): number {
  const { signers, recipients } = encoding;
  const once = signers.reduce((sum, { certificate }) => sum + costs.rsaPrivate(bitsOf(certificate)), 0);
  const signing = isSignedAgain(encoding) ? 2 * once : once;
  return signing + recipients.length * (costs.key + costs.rsaPublic(4096, 64));
}

/** Bits of an RSA key. Any other key signs faster than one of 2,048 bits, and counts as that. */
function bitsOf({ publicKeyInfo }: Certificate): number {
  const { family, bits = 2048 } = keyTraits(publicKeyInfo);
  return family === 'rsa' ? bits : 2048;
}

/** A first pass over a message, which records in `survey` which parts are 7bit. It produces no output. */
export function surveyMessage(encoding: Encoding, survey: TransferSurvey): Sink {
  const { limits } = encoding;
  const { budget } = limits;
  let octets = 0;
  const entity = new HeaderSplitter((headers) => {
    const subject = hiddenSubject(headers, encoding);
    return entitySink(halves(headers, encoding).inner, new NullSink(), {
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

function halves({ fields }: HeaderBlock, encoding: Encoding): ReturnType<typeof splitHeader> {
  const attachment = encoding.bodyAsAttachment ? attachmentField(fields) : undefined;
  const confidential = isEncrypted(encoding) ? 'cipher' : 'clear';
  const { outer, inner } = splitHeader(fields, encoding.headerProtection ? confidential : undefined);
  return { outer, inner: attachment === undefined ? inner : [...inner, attachment] };
}

/** The subject to repeat in the text, for mail programs that do not show the protected one; undefined if not needed. */
function hiddenSubject(headers: HeaderBlock, encoding: Encoding): string | undefined {
  const { headerProtection, legacyDisplay } = encoding;
  if (!legacyDisplay || !headerProtection || !isEncrypted(encoding)) return undefined;
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

/** Takes the body, writes it to `output` after its header, and ends `output`. */
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
