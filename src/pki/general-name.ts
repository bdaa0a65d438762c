import { Cursor, content, type Element, oid, oids, raw, tags, text } from '../asn1/index.ts';
import { toMailHost } from '../domain.ts';
import { malformedCertificate } from './malformed.ts';
import { type Name, readName } from './name.ts';

/** A GeneralName (RFC 5280 section 4.2.1.6), with the relevant kinds decoded. */
export type GeneralName =
  | { kind: 'email'; value: string }
  /** SmtpUTF8Mailbox (RFC 9598): an address whose local part has non-ASCII letters. */
  | { kind: 'utf8Email'; value: string }
  | { kind: 'dns'; value: string }
  | { kind: 'uri'; value: string }
  | { kind: 'directory'; name: Name }
  | { kind: 'ip'; octets: Buffer }
  | { kind: 'other'; type: string; der: Buffer };

const mostNames = 10_000;

/**
 * Reads GeneralNames: `SEQUENCE SIZE (1..MAX) OF GeneralName`, whose tag may have been replaced.
 * @throws SealpostError `certificate-malformed` or an `asn1-` code
 */
export function readGeneralNames(element: Element): GeneralName[] {
  const names: GeneralName[] = [];
  const cursor = new Cursor(element);
  while (!cursor.atEnd) {
    if (names.length >= mostNames) throw malformedCertificate('names', `more than ${mostNames}`);
    names.push(readGeneralName(cursor.next()));
  }
  return names;
}

/** Reads one GeneralName, a CHOICE with context-specific tags 0 to 8. */
export function readGeneralName(element: Element): GeneralName {
  if (element.cls !== 2) throw malformedCertificate('name', `tag ${element.cls}:${element.tag}`);
  switch (element.tag) {
    case 0:
      return readOtherName(element);
    case 1:
      return { kind: 'email', value: text(element, tags.ia5String) };
    case 2:
      return { kind: 'dns', value: text(element, tags.ia5String) };
    case 4:
      // a CHOICE cannot be IMPLICIT, so the Name is inside the tag (X.680 section 31.2.7)
      return { kind: 'directory', name: readName(content(element)) };
    case 6:
      return { kind: 'uri', value: text(element, tags.ia5String) };
    case 7:
      return { kind: 'ip', octets: content(element) };
    default:
      return { kind: 'other', type: `[${element.tag}]`, der: raw(element) };
  }
}

function readOtherName(element: Element): GeneralName {
  const cursor = new Cursor(element);
  const type = oid(cursor.expect(tags.oid));
  const value = new Cursor(cursor.expect(0, 2)).next();
  if (type === oids.smtpUtf8Mailbox && value.tag === tags.utf8String) {
    return { kind: 'utf8Email', value: text(value) };
  }
  return { kind: 'other', type, der: raw(element) };
}

/**
 * A mail address in the form for comparison: the domain as A-labels in lower case, the local part as it is (RFC 5321
 * section 2.4). Undefined for an invalid address, or one that could smuggle in control characters.
 */
export function normalizeEmail(address: string): string | undefined {
  const at = address.lastIndexOf('@');
  if (at < 1 || address.length > 1000 || /[\p{Cc}\s]/u.test(address)) return undefined;
  const host = toMailHost(address.slice(at + 1));
  return host === undefined ? undefined : `${address.slice(0, at)}@${host}`;
}
