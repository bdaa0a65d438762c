/** Certificates with keys, for listeners and routes: read, checked, and chosen by date. */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import { spanOf, type Term } from '../pki/span.ts';
import { readPrivateFile, readPublicFile } from './secrets.ts';

/**
 * SHA-256 of the public key of the certificate that is built into the SMTP library. Its private key is published with
 * the library, so using it amounts to having no TLS (threats S16).
 */
const libraryKey = 'c7c33a9a1bf0b606c384fb4b141f01191a14471f441f0cffd7865e4d81de754e';

/** Certificate chain and key of a listener, in PEM. */
export interface ListenerTls {
  cert: Buffer;
  key: Buffer;
}

/**
 * Reads a certificate and its key, for a listener or for our own connections, and checks that they belong together.
 *
 * @throws {SealpostError} `file-access`, `file-mode`, `certificate-malformed`, `key-malformed`, `key-mismatch`
 */
export function readCertificateAndKey(files: {
  cert: string;
  key: string;
}): ListenerTls & { notBefore: Date; notAfter: Date } {
  const cert = readPublicFile(files.cert);
  const key = readPrivateFile(files.key);
  const certificate = attempt('certificate-malformed', `${files.cert}: is not a certificate in PEM`, () =>
    pemOnly(cert, () => new X509Certificate(cert)),
  );
  const privateKey = attempt(
    'key-malformed',
    `${files.key}: is not a private key in PEM without password`,
    () => pemOnly(key, () => createPrivateKey(key)),
  );
  if (!certificate.checkPrivateKey(privateKey))
    throw new SealpostError('key-mismatch', `${files.key}: is not the key of ${files.cert}`, {
      hint: 'the certificate of the key comes first in its file, then its chain',
    });
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  if (createHash('sha256').update(spki).digest('hex') === libraryKey)
    throw new SealpostError('key-malformed', `${files.key}: is the published key of the SMTP library`, {
      hint: 'make a key of your own',
    });
  return { cert, key, notBefore: certificate.validFromDate, notAfter: certificate.validToDate };
}

function pemOnly<T>(data: Buffer, read: () => T): T {
  if (!data.includes('-----BEGIN ')) throw new Error('not PEM');
  return read();
}

function attempt<T>(code: 'certificate-malformed' | 'key-malformed', message: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new SealpostError(code, message, { cause });
  }
}

/** A certificate with its key, and the term that we wrote. */
export interface PairFiles {
  cert: string;
  key: string;
  /** Milliseconds since the epoch. */
  from?: number | undefined;
  until?: number | undefined;
}

/** The setting as written: the first pair, and those that follow it. */
export interface TlsFiles extends PairFiles {
  next?: readonly PairFiles[] | undefined;
}

/** A pair, with the span in which it is used. */
export interface TlsPair extends ListenerTls {
  /** The first moment, and the first after it. */
  from: Date;
  until: Date;
  /** The validity of the certificate itself. */
  notBefore: Date;
  notAfter: Date;
}

/**
 * Reads the pairs of a setting. Pairs that begin later than the given time are not read.
 *
 * Errors: those of `readCertificateAndKey`.
 */
export function readTlsPairs(files: TlsFiles, at?: Date): TlsPair[] {
  const { next = [], ...first } = files;
  return [first, ...next].flatMap(({ from, until, ...pair }, index) => {
    const ours = termOf({ from, until });
    if (index > 0 && at !== undefined && ours.from !== undefined && ours.from > at) return [];
    const { notBefore, notAfter, cert, key } = readCertificateAndKey(pair);
    return [{ cert, key, notBefore, notAfter, ...spanOf({ notBefore, notAfter }, ours) }];
  });
}

/** The term of an entry in the configuration. */
export function termOf({ from, until }: { from?: number | undefined; until?: number | undefined }): Term {
  const timeOf = (setting: number | undefined) => (setting === undefined ? undefined : new Date(setting));
  return { from: timeOf(from), until: timeOf(until) };
}

/**
 * The pair to use at a given time: of those in force, the one that began last. If none is in force, the one that ended
 * last, or else the one that begins first: a peer may still accept it, and without a certificate there is no TLS at
 * all.
 */
export function pairAt(pairs: readonly TlsPair[], at: Date): TlsPair | undefined {
  const by = (rank: (pair: TlsPair) => number) => [...pairs].sort((a, b) => rank(b) - rank(a));
  return (
    by(({ from }) => from.getTime()).find(({ from, until }) => from <= at && at < until) ??
    by(({ until }) => until.getTime()).find(({ until }) => until <= at) ??
    by(({ from }) => -from.getTime())[0]
  );
}

/** The certificate and key of a setting at a given time. Errors: those of `readCertificateAndKey`. */
export function tlsAt(files: TlsFiles, at: Date): ListenerTls {
  const { cert, key } = pairAt(readTlsPairs(files, at), at) ?? readCertificateAndKey(files);
  return { cert, key };
}

/** The next time after a given one at which a setting may choose another pair. Errors: those of `readTlsPairs`. */
function nextChange(files: TlsFiles, at: Date): number {
  const moments = [
    ...readTlsPairs(files, at).flatMap(({ from, until }) => [from, until]),
    // those that were not read
    ...(files.next ?? []).map((each) => termOf(each).from ?? at),
  ];
  return Math.min(...moments.filter((each) => each > at).map((each) => each.getTime()));
}

/** Milliseconds between looks at the files. */
const lookEvery = 30_000;

export interface FollowParts {
  now: () => Date;
  /** Switches to another pair. New connections use it; open ones keep theirs. */
  apply: (tls: ListenerTls) => void;
  /** The files cannot be read, so the pair in use stays. Called once until they can be read again. */
  onTrouble: (error: unknown) => void;
}

/**
 * Keeps a listener on the right pair for the date, without a restart. A pair whose files have been renewed counts as
 * another one.
 *
 * @param current what the listener uses now
 * @returns `look` checks at once. `arrives` checks if a switch has become due since the last look; call it before you
 *    serve a connection, so that nobody is shown a certificate that has ended in the meantime. `stop` ends the watch.
 */
export function followTls(
  files: TlsFiles,
  current: ListenerTls,
  { now, apply, onTrouble }: FollowParts,
): { look: () => void; arrives: () => void; stop: () => void } {
  let used = current;
  let isTroubled = false;
  let looked = Number.POSITIVE_INFINITY;
  let due = Number.NEGATIVE_INFINITY;
  const look = () => {
    const at = now();
    looked = at.getTime();
    try {
      const found = tlsAt(files, at);
      due = nextChange(files, at);
      isTroubled = false;
      if (found.cert.equals(used.cert) && found.key.equals(used.key)) return;
      apply(found);
      used = found;
    } catch (error) {
      if (!isTroubled) onTrouble(error);
      isTroubled = true;
    }
  };
  const arrives = () => {
    const time = now().getTime();
    // a clock that was set back may lead to the previous pair
    if (time >= due || time < looked) look();
  };
  const timer = setInterval(look, lookEvery).unref();
  return { look, arrives, stop: () => clearInterval(timer) };
}
