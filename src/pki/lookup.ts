/**
 * Finds a certificate by what names it, without comparing each of thousands. What names a certificate becomes a word; a
 * certificate has one word for each way in which it can be named. Words only lead to candidates, which the caller
 * compares.
 */
import { createHash } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { readName } from './name.ts';

const computed = new WeakMap<Certificate, readonly [Buffer, Buffer]>();

/**
 * What senders use as the key identifier of a certificate, the usual one first: its extension; without one, method 1 of
 * RFC 5280 section 4.2.1.2 (SHA-1 of the public key), or SHA-1 over the whole SubjectPublicKeyInfo, as Windows and .NET
 * compute it (CERT_KEY_IDENTIFIER_PROP_ID).
 */
export function keyIdentifiersOf(certificate: Certificate): readonly [Buffer, ...Buffer[]] {
  const extension = certificate.subjectKeyIdentifier;
  if (extension !== undefined) return [extension];
  let identifiers = computed.get(certificate);
  if (identifiers === undefined) {
    const { key, der } = certificate.publicKeyInfo;
    const sha1 = (octets: Buffer) => createHash('sha1').update(octets).digest();
    identifiers = [sha1(key), sha1(der)];
    computed.set(certificate, identifiers);
  }
  return identifiers;
}

/** A serial number in hexadecimal, in the form that is compared. */
export function withoutZeros(hex: string): string {
  return hex.replace(/^(?:00)+/, '') || hex.slice(0, 2);
}

/** Words of the certificates that messages name, which are nearly always the same few. */
const knownWords = new Map<string, string>();
const mostKnownWords = 1000;

/**
 * The word for an issuer, whose name in DER is compared as in RFC 5280 section 7.1, and a serial number in hexadecimal.
 */
export function issuerWord(issuerDer: Buffer, serial: string): string {
  const key = `${serial} ${issuerDer.toString('latin1')}`;
  let word = knownWords.get(key);
  if (word === undefined) {
    word = wordOf(`i ${withoutZeros(serial)} ${canonicalOf(issuerDer)}`);
    if (knownWords.size >= mostKnownWords) knownWords.clear();
    if (key.length < 1000) knownWords.set(key, word);
  }
  return word;
}

/** The word for a subjectKeyIdentifier in hexadecimal. */
export function keyIdentifierWord(identifier: string): string {
  return wordOf(`k ${identifier}`);
}

/** All words of a certificate. If a part of it cannot be read, those of the other parts. */
export function wordsOf(certificate: Certificate): string[] {
  const words = [issuerWord(certificate.issuerDer, certificate.serialHex)];
  try {
    for (const each of keyIdentifiersOf(certificate)) words.push(keyIdentifierWord(each.toString('hex')));
  } catch {
    // a malformed extension, by which nobody names a certificate
  }
  return words;
}

function canonicalOf(issuerDer: Buffer): string {
  try {
    return readName(issuerDer).canonical;
  } catch {
    return issuerDer.toString('hex');
  }
}

/** Short, because there are many of them. A collision costs one comparison. */
const wordOf = (text: string) => createHash('sha256').update(text).digest('base64').slice(0, 16);
