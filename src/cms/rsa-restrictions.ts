import { oids } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type PssParameters, type PublicKeyInfo, readPssParameters } from '../pki/index.ts';
import { type OaepParameters, readOaepParameters } from './oaep.ts';

/*
 * What a certificate says about the use of its RSA key. id-RSASSA-PSS is only for PSS, id-RSAES-OAEP only for OAEP, and
 * parameters with either one are binding (RFC 4055 sections 1.2, 3.3 and 4.1; RFC 5756).
 */

/** The PSS parameters that a key is bound to; undefined if it may be used with any. */
export function boundPss({ algorithm, parameters }: PublicKeyInfo): PssParameters | undefined {
  if (algorithm !== oids.rsassaPss || parameters === undefined) return undefined;
  return readPssParameters(algorithmOf(algorithm, parameters));
}

/** The OAEP parameters that a key is bound to; undefined if it may be used with any. */
export function boundOaep({ algorithm, parameters }: PublicKeyInfo): OaepParameters | undefined {
  if (algorithm !== oids.rsaesOaep || parameters === undefined) return undefined;
  return readOaepParameters(algorithmOf(algorithm, parameters));
}

const algorithmOf = (oid: string, parameters: Buffer) => ({ oid, parameters });

/** Whether a key may make RSA signatures of this scheme. True for keys of other kinds. */
export function maySign(info: PublicKeyInfo, scheme: 'rsa' | 'rsa-pss', pss?: PssParameters): boolean {
  if (info.algorithm === oids.rsaesOaep) return false;
  if (info.algorithm !== oids.rsassaPss) return true;
  if (scheme !== 'rsa-pss' || pss === undefined) return false;
  return orFalse(() => {
    const bound = boundPss(info);
    return (
      bound === undefined ||
      (bound.digest.name === pss.digest.name &&
        bound.mgfDigest.name === pss.mgfDigest.name &&
        pss.saltLength >= bound.saltLength)
    );
  });
}

/** Whether a content key may be transported to an RSA key in this way. For PKCS#1 v1.5, `oaep` is undefined. */
export function mayTransport(info: PublicKeyInfo, oaep: OaepParameters | undefined): boolean {
  if (info.algorithm === oids.rsassaPss) return false;
  if (info.algorithm !== oids.rsaesOaep) return true;
  if (oaep === undefined) return false;
  return orFalse(() => {
    const bound = boundOaep(info);
    return (
      bound === undefined ||
      (bound.digest.name === oaep.digest.name &&
        bound.mgfDigest.name === oaep.mgfDigest.name &&
        bound.label.equals(oaep.label))
    );
  });
}

/** Unreadable parameters allow nothing. */
function orFalse(check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    if (error instanceof SealpostError) return false;
    throw error;
  }
}
