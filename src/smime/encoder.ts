import {
  CanonicalSink,
  decodeWords,
  defaultMessageLimits,
  type HeaderBlock,
  HeaderSplitter,
  type MessageLimits,
  NullSink,
  type Sink,
} from '../message/index.ts';
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

  /** @param survey what a first pass over the same message found; spares a needless transfer encoding */
  constructor(output: Sink, options: EncodeOptions, survey?: TransferSurvey) {
    checkKeys(options);
    // what nobody wraps goes through servers as it is, like what is signed in clear
    const mode = isEntityDetached(options) || isClear(options) ? 'signed' : 'binary-only';
    const limits = options.limits ?? defaultMessageLimits;
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
    this.#input.write(chunk);
  }

  end(): void {
    this.#input.end();
  }
}

/** Whether the entity goes out with nothing around it. */
export function isClear({ sign, encrypt, compress }: EncodeOptions): boolean {
  return sign === undefined && encrypt === undefined && compress === undefined;
}

/** A first pass over a message: notes in `survey` which of its parts are 7bit. Gives nothing out. */
export function surveyMessage(options: EncodeOptions, survey: TransferSurvey): Sink {
  const limits = options.limits ?? defaultMessageLimits;
  return new HeaderSplitter((headers) => {
    const subject = hiddenSubject(headers, options);
    return entitySink(halves(headers, options).inner, new NullSink(), {
      mode: 'signed',
      limits,
      survey,
      subject,
    });
  }, limits);
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
