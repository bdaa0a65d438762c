import { children, type Element, raw } from '../asn1/index.ts';
import { type Budget, costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { Certificate } from '../pki/index.ts';

/**
 * `CertificateSet ::= SET OF CHOICE { certificate, ... }` (RFC 5652 section 10.2.3), with any tag. Elements that are
 * not readable X.509 certificates are counted.
 * @throws SealpostError `cms-limit`, `work-limit`
 */
export function readCertificateSet(
  element: Element,
  most: number,
  budget: Budget,
): { certificates: Certificate[]; others: number } {
  const found = children(element, { maxElements: most + 1 });
  if (found.length > most) throw new SealpostError('cms-limit', `more than ${most} certificates`);
  const certificates: Certificate[] = [];
  for (const choice of found) {
    if (choice.cls !== 0) continue;
    budget.spend(costs.certificate(choice.end - choice.start));
    try {
      certificates.push(new Certificate(raw(choice)));
    } catch {
      // counted below
    }
  }
  return { certificates, others: found.length - certificates.length };
}
