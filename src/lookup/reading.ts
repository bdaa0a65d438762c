import { SealpostError } from '../errors.ts';
import { type Certificate, readCertificates } from '../pki/index.ts';
import { answerLimits, type DirectoryAnswer } from './types.ts';

/** Reads values that a directory gave, within the limits of an answer. What is no certificate is said and skipped. */
export function readValues(values: readonly Buffer[]): DirectoryAnswer {
  const certificates: Certificate[] = [];
  const beside: string[] = [];
  let octets = 0;
  for (const value of values) {
    octets += value.length;
    if (octets > answerLimits.octets || certificates.length >= answerLimits.certificates) {
      beside.push(`more than ${answerLimits.certificates} certificates; the rest was not read`);
      break;
    }
    const room = answerLimits.certificates - certificates.length;
    try {
      certificates.push(...readCertificates(value).slice(0, room));
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      beside.push(`a value that is no certificate: ${error.message}`);
    }
  }
  return { certificates, beside };
}
