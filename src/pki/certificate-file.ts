import { Cursor, type Element, oid, oids, raw, readElement, tags } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { Certificate, parseCertificate } from './certificate.ts';
import { malformedCertificate, reading } from './malformed.ts';
import { cmsLabels, isPem, readPem } from './pem.ts';

const mostCertificates = 10_000;
const certificateLabels: ReadonlySet<string> = new Set([
  'CERTIFICATE',
  'X509 CERTIFICATE',
  'TRUSTED CERTIFICATE',
]);

/**
 * Reads the certificates of a file: a PEM bundle with any text around it (private keys are skipped), DER certificates
 * one after the other, or PKCS#7 certs-only (.p7b, .p7c) in PEM or DER.
 * @throws SealpostError `certificate-malformed`, also if there is none
 */
export function readCertificates(data: Buffer): Certificate[] {
  const certificates = isPem(data) ? readPemCertificates(data) : readDer(data);
  if (certificates.length === 0)
    throw new SealpostError('certificate-malformed', 'there is no certificate in it');
  return certificates;
}

function readPemCertificates(data: Buffer): Certificate[] {
  const found: Certificate[] = [];
  readPem(data).forEach(({ label, der }, index) => {
    const part = `block ${index + 1} (${label})`;
    if (cmsLabels.has(label)) found.push(...reading(part, () => certificatesOfCms(readElement(der, 0))));
    // OpenSSL's trusted certificates have settings of OpenSSL after the certificate
    if (certificateLabels.has(label)) {
      found.push(reading(part, () => parseCertificate(Buffer.from(raw(readElement(der, 0))))));
    }
  });
  return found;
}

function readDer(data: Buffer): Certificate[] {
  const found: Certificate[] = [];
  for (let at = 0; at < data.length; ) {
    // editors and transports append line ends
    if (found.length > 0 && isBlank(data.subarray(at))) break;
    const element = reading(`octet ${at}`, () => readElement(data, at));
    const first = reading(`octet ${at}`, () => new Cursor(element).next());
    if (first.cls === 0 && first.tag === tags.oid) {
      found.push(...reading(`octet ${at}`, () => certificatesOfCms(element)));
    } else {
      found.push(parseCertificate(raw(element)));
    }
    if (found.length > mostCertificates)
      throw malformedCertificate('file', `more than ${mostCertificates} certificates`);
    at = element.end;
  }
  return found;
}

function isBlank(octets: Buffer): boolean {
  return octets.length < 16 && octets.every((octet) => octet === 0x0d || octet === 0x0a || octet === 0x20);
}

/** The certificates of a SignedData (RFC 5652 section 5.1). Other kinds of certificates in it are skipped. */
function certificatesOfCms(contentInfo: Element): Certificate[] {
  const outer = new Cursor(contentInfo);
  if (oid(outer.expect(tags.oid)) !== oids.signedData) {
    throw malformedCertificate('file', 'a PKCS#7 file that is not signed data');
  }
  const signedData = new Cursor(new Cursor(outer.expect(0, 2)).expect(tags.sequence));
  signedData.expect(tags.integer);
  signedData.expect(tags.set);
  signedData.expect(tags.sequence);
  const set = signedData.optional(2, 0);
  if (set === undefined) return [];
  const found: Certificate[] = [];
  const cursor = new Cursor(set);
  while (!cursor.atEnd && found.length < mostCertificates) {
    const element = cursor.next();
    if (element.cls === 0 && element.tag === tags.sequence) found.push(new Certificate(raw(element)));
  }
  return found;
}
