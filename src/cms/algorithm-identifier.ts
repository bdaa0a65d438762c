import { Cursor, type Element, oid, raw, readElement, tags } from '../asn1/index.ts';
import * as der from '../asn1/writer.ts';

/** `AlgorithmIdentifier ::= SEQUENCE { algorithm OID, parameters ANY OPTIONAL }` (RFC 5652 section 10.1). */
export interface AlgorithmIdentifier {
  /** Dotted object identifier. */
  oid: string;
  /** The parameters element as it stands, undefined when absent. */
  parameters: Buffer | undefined;
}

/** Reads an AlgorithmIdentifier; its own tag may have been replaced by an IMPLICIT one. */
export function readAlgorithm(element: Element): AlgorithmIdentifier {
  const cursor = new Cursor(element);
  const algorithm = oid(cursor.expect(tags.oid));
  const parameters = cursor.atEnd ? undefined : raw(cursor.next());
  cursor.done();
  return { oid: algorithm, parameters };
}

/** The parameters as an element; undefined when they are absent or NULL. */
export function parametersOf(algorithm: AlgorithmIdentifier): Element | undefined {
  if (algorithm.parameters === undefined) return undefined;
  const element = readElement(algorithm.parameters, 0);
  return element.cls === 0 && element.tag === tags.nullValue ? undefined : element;
}

/** Absent parameters and NULL are the same: for many algorithms either is written (RFC 5754 section 2). */
export function sameAlgorithm(one: AlgorithmIdentifier, other: AlgorithmIdentifier): boolean {
  const [first, second] = [parametersOf(one), parametersOf(other)];
  if (one.oid !== other.oid) return false;
  if (first === undefined || second === undefined) return first === second;
  return raw(first).equals(raw(second));
}

export function writeAlgorithm(oid: string, parameters?: Uint8Array): Buffer {
  return parameters === undefined ? der.sequence(der.oid(oid)) : der.sequence(der.oid(oid), parameters);
}
