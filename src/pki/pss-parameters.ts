import {
  type AlgorithmIdentifier,
  Cursor,
  type Element,
  oids,
  parametersOf,
  readAlgorithm,
  smallInteger,
  tags,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type DigestInfo, digestByOid } from './algorithms.ts';

/** Parameters of RSA signatures with PSS, in certificates and messages. */

/** RSASSA-PSS-params (RFC 4055 section 3.1, RFC 4056 section 3). */
export interface PssParameters {
  digest: DigestInfo;
  mgfDigest: DigestInfo;
  saltLength: number;
}

/**
 * Reads the parameters. Absent parts mean SHA-1, MGF1 with SHA-1 and a salt of 20 octets.
 * @throws SealpostError `cms-unsupported`, `cms-malformed`, `asn1-*`
 */
export function readPssParameters(algorithm: AlgorithmIdentifier): PssParameters {
  const sha1 = known(oids.sha1);
  const result: PssParameters = { digest: sha1, mgfDigest: sha1, saltLength: 20 };
  const element = parametersOf(algorithm);
  if (element === undefined) return result;
  const cursor = new Cursor(element);
  const inside = (explicit: Element, tag: number): Element => new Cursor(explicit).expect(tag);
  const hash = cursor.optional(2, 0);
  if (hash !== undefined) result.digest = known(readAlgorithm(inside(hash, tags.sequence)).oid);
  const mask = cursor.optional(2, 1);
  if (mask !== undefined) result.mgfDigest = readMgf1(readAlgorithm(inside(mask, tags.sequence)));
  const salt = cursor.optional(2, 2);
  if (salt !== undefined) result.saltLength = smallInteger(inside(salt, tags.integer));
  const trailer = cursor.optional(2, 3);
  if (trailer !== undefined && smallInteger(inside(trailer, tags.integer)) !== 1) {
    throw new SealpostError('cms-unsupported', 'a PSS trailer field other than 1');
  }
  cursor.done();
  if (result.saltLength < 0 || result.saltLength > 2048) {
    throw new SealpostError('cms-malformed', `a PSS salt of ${result.saltLength} octets`);
  }
  return result;
}

/** The digest of MGF1 (RFC 8017 appendix B.2.1), in PSS and OAEP. */
export function readMgf1(algorithm: AlgorithmIdentifier): DigestInfo {
  if (algorithm.oid !== oids.mgf1) {
    throw new SealpostError('cms-unsupported', `mask generation function ${algorithm.oid}`);
  }
  const element = parametersOf(algorithm);
  return known(element === undefined ? oids.sha1 : readAlgorithm(element).oid);
}

function known(oid: string): DigestInfo {
  const info = digestByOid(oid);
  if (info === undefined) throw new SealpostError('cms-unsupported', `digest ${oid} of an RSA scheme`);
  return info;
}
