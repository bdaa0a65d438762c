import { Cursor, type Element, raw, readElement, tags } from './reader.ts';
import { oid } from './values.ts';
import * as der from './writer.ts';

/**
 * `AlgorithmIdentifier ::= SEQUENCE { algorithm OID, parameters ANY OPTIONAL }` (RFC 5280 section 4.1.1.2, RFC 5652
 * section 10.1).
 */
export interface AlgorithmIdentifier {
  /** Dotted object identifier. */
  oid: string;
  /** The parameters element as it stands; undefined if absent. */
  parameters: Buffer | undefined;
}

/** An AlgorithmIdentifier that was read. */
export interface ReadAlgorithm extends AlgorithmIdentifier {
  /** All of it as it stands. */
  der: Buffer;
}

/** Reads an AlgorithmIdentifier, whose own tag an IMPLICIT one may have replaced. */
export function readAlgorithm(element: Element): ReadAlgorithm {
  const cursor = new Cursor(element);
  const algorithm = oid(cursor.expect(tags.oid));
  const parameters = cursor.atEnd ? undefined : raw(cursor.next());
  cursor.done();
  return { oid: algorithm, parameters, der: raw(element) };
}

/** The parameters as an element; undefined if they are absent or NULL. */
export function parametersOf(algorithm: AlgorithmIdentifier): Element | undefined {
  if (algorithm.parameters === undefined) return undefined;
  const element = readElement(algorithm.parameters, 0);
  return element.cls === 0 && element.tag === tags.nullValue ? undefined : element;
}

/**
 * Absent parameters and NULL count as the same, because for many algorithms writers use either (RFC 5754 section 2).
 */
export function sameAlgorithm(one: AlgorithmIdentifier, other: AlgorithmIdentifier): boolean {
  const [first, second] = [parametersOf(one), parametersOf(other)];
  if (one.oid !== other.oid) return false;
  if (first === undefined || second === undefined) return first === second;
  return raw(first).equals(raw(second));
}

export function writeAlgorithm(oid: string, parameters?: Uint8Array): Buffer {
  return parameters === undefined ? der.sequence(der.oid(oid)) : der.sequence(der.oid(oid), parameters);
}
