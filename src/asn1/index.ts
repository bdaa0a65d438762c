/** BER and DER; `der` is the writer of DER. */
export {
  type AlgorithmIdentifier,
  parametersOf,
  type ReadAlgorithm,
  readAlgorithm,
  sameAlgorithm,
  writeAlgorithm,
} from './algorithm-identifier.ts';
export { Header, malformed, truncated } from './header.ts';
export { type OidName, oidName, oids } from './oids.ts';
export {
  Cursor,
  children,
  childrenOf,
  content,
  type Element,
  parse,
  type ReadOptions,
  raw,
  readElement,
  type TagClass,
  tags,
} from './reader.ts';
export { bitString, boolean, integer, octetString, oid, smallInteger, text, time } from './values.ts';
export * as der from './writer.ts';
