import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { daneFault, type Published, pinOf } from './dane.ts';
import { tlsResults } from './metrics.ts';

/** What a server's certificate must satisfy. */
export type Verification =
  | { by: 'nothing' }
  /** Issued for the name of the host by a CA of the system, or of `ca` (PEM). */
  | { by: 'name'; ca: string | undefined }
  /** SHA-256 of public keys, in hex. */
  | { by: 'pins'; pins: readonly string[] }
  | ({ by: 'tlsa' } & Published);

export const tlsPolicies = ['none', 'opportunistic', 'required', 'pinned', 'dane', 'mta-sts'] as const;
export type TlsPolicy = (typeof tlsPolicies)[number];

/** Results of TLS, with the names of RFC 8460 section 4.3. */
export type TlsResult =
  | 'ok'
  | 'starttls-not-supported'
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'validation-failure'
  | 'dnssec-invalid'
  | 'dane-required'
  | 'sts-policy-fetch-error'
  | 'sts-policy-invalid';

/** What connections to one host require. */
export interface TlsDemand {
  policy: TlsPolicy;
  how: 'none' | 'opportunistic' | 'required' | 'implicit';
  verify: Verification;
  /** The name in SNI. Default: the host. */
  serverName?: string;
  /** An MTA-STS policy in mode `testing`, and whether it names the host. Its result is counted, but has no effect. */
  tested?: 'named' | 'not-named';
}

/** Why a host is not used, or not without a complaint. */
export class TlsFault extends Error {
  readonly result: Exclude<TlsResult, 'ok'>;

  constructor(result: TlsFault['result'], message: string) {
    super(message);
    this.result = result;
  }
}

/** Counts what a policy in mode `testing` would have said about an open connection. */
export function countTested(tested: TlsDemand['tested'], socket: TLSSocket | undefined): void {
  if (tested === undefined) return;
  let result: TlsResult = 'ok';
  if (tested === 'not-named') result = 'validation-failure';
  else if (socket === undefined) result = 'starttls-not-supported';
  else if (!socket.authorized) result = resultOf(socket.authorizationError);
  countTls('mta-sts-testing', result);
}

export function countTls(policy: TlsPolicy | 'mta-sts-testing', result: TlsResult): void {
  tlsResults.inc({ policy, result });
}

/**
 * Judges the server after the handshake and before any command. Where the certificate must carry a name, the handshake
 * has checked it. Node does not call `checkServerIdentity` for certificates that it does not trust anyway, so pins and
 * TLSA records cannot be compared there.
 */
export function faultOf(socket: TLSSocket, verify: Verification): TlsFault | undefined {
  switch (verify.by) {
    case 'nothing':
      return undefined;
    case 'name':
      if (socket.authorized) return undefined;
      return new TlsFault(
        resultOf(socket.authorizationError),
        'the certificate of the server is not trusted',
      );
    case 'pins': {
      const [own] = chainOf(socket);
      const pin = own && pinOf(own);
      if (pin !== undefined && verify.pins.includes(pin)) return undefined;
      return new TlsFault(
        'certificate-not-trusted',
        'the public key of the server is not one of the pinned ones',
      );
    }
    case 'tlsa': {
      const fault = daneFault(chainOf(socket), verify, new Date());
      return fault === undefined ? undefined : new TlsFault('validation-failure', `DANE: ${fault}`);
    }
  }
}

/** Why the handshake refused the certificate of a host, naming both; undefined for any other kind of error. */
export function refusedCertificate(host: string, error: unknown): string | undefined {
  const of = `the TLS certificate of ${host}`;
  const code = codeOf(error);
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return `${of} has expired`;
    case 'CERT_NOT_YET_VALID':
      return `${of} is not valid yet`;
    case 'CERT_REVOKED':
      return `${of} was revoked`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `${of} is self-signed and not trusted here`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `${of} is for ${namesIn(error)}`;
    default:
      return untrusted.has(code) ? `${of} was issued by a CA that is not trusted here (${code})` : undefined;
  }
}

/** The certificate's names, as Node's error lists them. */
function namesIn(error: unknown): string {
  const cert: unknown = error instanceof Error && 'cert' in error ? error.cert : undefined;
  const names =
    typeof cert === 'object' && cert !== null && 'subjectaltname' in cert ? cert.subjectaltname : undefined;
  return typeof names === 'string' && names !== '' ? `${names} alone` : 'another name';
}

/** Which certificate a server showed: subject, serial number and end of validity. */
export function shownBy(socket: TLSSocket): string {
  const { subject, serialNumber, valid_to: end } = socket.getPeerCertificate();
  const name = subject?.CN ?? 'without a common name';
  return serialNumber === undefined
    ? 'no certificate'
    : `certificate ${name}, serial ${serialNumber.toLowerCase()}, until ${end}`;
}

/** The certificates that the server sent, in DER, its own first. */
function chainOf(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // a self-signed certificate is its own issuer
  while (next?.raw !== undefined && !chain.some((each) => next !== undefined && each.equals(next.raw))) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}

/** The RFC 8460 result for an error of the handshake. */
export function resultOf(error: unknown): TlsFault['result'] {
  const code = codeOf(error);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'certificate-host-mismatch';
  if (code === 'CERT_HAS_EXPIRED') return 'certificate-expired';
  return untrusted.has(code) ? 'certificate-not-trusted' : 'validation-failure';
}

/** Whether an error is about TLS. */
export function isTlsError(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ETLS' || code === 'EPROTO' || /^(ERR_(SSL|TLS)_|CERT_)/.test(code) || untrusted.has(code);
}

const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_CHAIN_TOO_LONG',
  'CERT_SIGNATURE_FAILURE',
  'CERT_REVOKED',
]);

/** nodemailer overwrites the code of an error, and keeps the first one in `originalCode`. */
function codeOf(error: unknown): string {
  if (error instanceof Error && 'originalCode' in error) return String(error.originalCode);
  if (error instanceof Error && 'code' in error) return String(error.code);
  return typeof error === 'string' ? error : '';
}
