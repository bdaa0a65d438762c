/** The way in for other rooms; the DER writer is imported as a namespace from `writer.ts`. */
export {
  type AlgorithmIdentifier,
  parametersOf,
  type ReadAlgorithm,
  readAlgorithm,
  sameAlgorithm,
  writeAlgorithm,
} from './algorithm-identifier.ts';
export { Header } from './header.ts';
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
