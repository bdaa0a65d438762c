/** RFC 5322 and MIME, byte-preserving, as streams of pushed octets. */
export { type Address, type AddressList, isKnown, type KnownAddress, readAddressList } from './address.ts';
export { asciiField, longestLine, MAX_LINE, splitParameters } from './ascii-header.ts';
export { Base64Decoder, Base64Encoder } from './base64.ts';
export { CanonicalSink, firstBareLf, type LineEnds } from './canonical.ts';
export {
  type ContentType,
  type Parameterized,
  parseContentType,
  parseParameterized,
} from './content-type.ts';
export { decodeWords } from './encoded-words.ts';
export { contentHeader, type EntityInfo, entityInfo, headerCost } from './entity.ts';
export { HeaderFinder } from './header-finder.ts';
export {
  HeaderBlock,
  type HeaderField,
  HeaderSplitter,
  parseHeaders,
  refuseStrayControls,
  strayControl,
} from './headers.ts';
export { defaultMessageLimits, type MessageLimits } from './limits.ts';
export { LineFold } from './line-fold.ts';
export { MailDigest } from './mail-digest.ts';
export {
  type Authors,
  type HeadersJson,
  type MailHeader,
  readAddressField,
  readMailHeader,
  readMessageId,
} from './mail-header.ts';
export {
  caselessAddress,
  caselessKey,
  comparableAddress,
  type Mailbox,
  mailboxKey,
  parseMailbox,
  sameAddress,
} from './mailbox.ts';
export { type MultipartHandler, MultipartSplitter } from './multipart.ts';
export { QuotedPrintableDecoder, QuotedPrintableEncoder } from './quoted-printable.ts';
export {
  openTo,
  rewriteMultipart,
  type SevenBitMode,
  sevenBitEntity,
  UNDECIDED_OCTETS,
  withLineEnd,
} from './seven-bit.ts';
export { BufferSink, NullSink, type Sink, TeeSink } from './sink.ts';
export {
  type Arrival,
  fieldWord,
  loopOf,
  mailDate,
  receivedField,
  sentTrace,
  type Tracer,
  traceField,
  tracerOf,
} from './trace.ts';
export { transferDecoder } from './transfer.ts';
export { TransferSurvey } from './transfer-survey.ts';
export { UuDecoder } from './uuencode.ts';
export { checkWholeHeader } from './whole-header.ts';
