/**
 * Loads the keys and certificates that the settings name. Code that listens to the network never imports this file.
 */
import { SealpostError } from '../errors.ts';
import {
  type Certificate,
  createIdentity,
  hasPrivateKey,
  hasSigned,
  type Identity,
  isSelfSigned,
  keyBelongsTo,
  readCertificates,
  readPkcs12,
  readPrivateKey,
  unusableFor,
} from '../pki/index.ts';
import { decodeParts, KeyReader, placeless } from './key-reader.ts';
import { sourceOf } from './origin.ts';
import { ConfigError, type Places, type Problem, type SettingPath, sortProblems } from './problem.ts';
import type { Config } from './schema.ts';
import { readPrivateFile } from './secrets.ts';

/** The keys that a mailbox decrypts with, and what it trusts. */
export interface MailboxKeys {
  identities: readonly Identity[];
  trust: TrustedCertificates;
}

/** What makes a signer trusted for a mailbox. */
export interface TrustedCertificates {
  /** The global ones and those of the mailbox. */
  anchors: readonly Certificate[];
  /** Help to build paths. */
  intermediates: readonly Certificate[];
  /** Certificates of all partners. Which partner a signer is, `PartnerDirectory` says. */
  pinned: readonly Certificate[];
}

export interface LoadedKeys {
  /**
   * All our own keys. A name may occur several times: a PKCS#12 file may hold one key to sign and one to decrypt, and a
   * key may have an old and a renewed certificate.
   */
  identities: readonly Identity[];
  /** Trusted for all mailboxes. */
  anchors: readonly Certificate[];
  /** Help to build paths; includes the CA certificates in files of partners. */
  intermediates: readonly Certificate[];
  /** By name of the mailbox. */
  mailboxes: ReadonlyMap<string, MailboxKeys>;
  /** Certificates of each partner by name, without CA certificates: to encrypt for, and trusted as pinned. */
  partners: ReadonlyMap<string, readonly Certificate[]>;
  /** Certificates of all partners: signers that are trusted as pinned. */
  pinned: readonly Certificate[];
}

function identitiesOf(entry: Config['identities'][number], at: SettingPath, reader: KeyReader): Identity[] {
  const { name, certificate, key, pkcs12 } = entry;
  const { password: secret } = entry;
  const password = secret && reader.secret([...at, 'password'], secret);
  // The file would only fail again for the same reason.
  if (secret !== undefined && password === undefined) return [];
  const path = [...at, pkcs12 === undefined ? 'key' : 'pkcs12'];
  const file = pkcs12 ?? key;
  const data = file === undefined ? undefined : reader.try(path, () => readPrivateFile(file));
  const others = certificate === undefined ? [] : reader.certificates([...at, 'certificate'], certificate);
  if (file === undefined || data === undefined) return [];

  if (pkcs12 !== undefined) {
    const found = reader.try(path, () => readPkcs12(data, password), `${file}: `);
    reader.try(path, () => decodeParts(found?.certificates ?? []), `${file}: `);
    return (found?.identities ?? []).map((identity) => ({ ...identity, name }));
  }
  const privateKey = reader.try(path, () => readPrivateKey(data, password), `${file}: `);
  if (certificate !== undefined && others.length === 0) return [];
  const beside =
    certificate === undefined || (hasPrivateKey(data) && data.includes('-----BEGIN CERTIFICATE-----'))
      ? (reader.try(path, () => decodeParts(readCertificates(data)), `${file}: `) ?? [])
      : [];
  if (privateKey === undefined || (certificate === undefined && beside.length === 0)) return [];

  const all = [...others, ...beside.filter((each) => !others.some((other) => other.equals(each)))];
  const own = all.filter((each) => belongs(() => keyBelongsTo(privateKey, each)));
  if (own.length === 0) {
    const where = certificate === undefined ? path : [...at, 'certificate'];
    reader.try(where, () => createIdentity(name, all, privateKey), `${certificate ?? file}: `);
    return [];
  }
  return own.map((each) =>
    createIdentity(name, [each, ...all.filter((other) => other !== each)], privateKey),
  );
}

function belongs(test: () => boolean): boolean {
  try {
    return test();
  } catch (error) {
    // a certificate whose key cannot be loaded does not count as ours
    if (error instanceof SealpostError) return false;
    throw error;
  }
}

/**
 * Tells a partner's own certificates from those of authorities in the same file. It goes by who signed what and by key
 * usage, not by names, because the certificates of a roll-over share a name. A self-signed certificate is the partner's
 * own, whatever its basicConstraints say, unless it signed another certificate or its key may only sign certificates.
 */
function splitAuthorities(certificates: readonly Certificate[]): {
  own: Certificate[];
  authorities: Certificate[];
} {
  const selfSigned = new Set(certificates.filter(isSelfSigned));
  const isAuthority = (each: Certificate) =>
    each.basicConstraints?.ca === true &&
    (!selfSigned.has(each) ||
      (unusableFor(each, 'encrypt') !== undefined && unusableFor(each, 'sign') !== undefined) ||
      certificates.some((other) => !selfSigned.has(other) && hasSigned(each, other)));
  return {
    own: certificates.filter((each) => !isAuthority(each)),
    authorities: certificates.filter(isAuthority),
  };
}

/**
 * Reads the keys and certificates of a configuration. It does not check expiry or key usage, because the answer changes
 * while the daemon runs (see `checkKeys` and `partner/certificates`).
 *
 * @returns Without `keys` if a file, password or pair is wrong.
 */
export function readKeys(
  config: Config,
  places: Places,
): { keys: LoadedKeys; problems: Problem[] } | { keys?: never; problems: Problem[] } {
  const reader = new KeyReader(places);
  const identities = config.identities.flatMap((entry, index) =>
    identitiesOf(entry, ['identities', index], reader),
  );
  const anchors = reader.list(['trust', 'anchors'], config.trust.anchors);
  const intermediates = reader.list(['trust', 'intermediates'], config.trust.intermediates);

  const partners = new Map<string, Certificate[]>();
  config.partners.forEach(({ name, certificates }, index) => {
    const read = reader.list(['partners', index, 'certificates'], certificates);
    const { own, authorities } = splitAuthorities(read);
    partners.set(name, own);
    intermediates.push(...authorities);
  });

  const pinned = [...partners.values()].flat();
  const mailboxes = new Map<string, MailboxKeys>();
  config.mailboxes.forEach(({ name, identities: named, trust }, index) => {
    const at = ['mailboxes', index, 'trust'];
    mailboxes.set(name, {
      identities: identities.filter((identity) => named === undefined || named.includes(identity.name)),
      trust: {
        anchors: [...anchors, ...reader.list([...at, 'anchors'], trust.anchors)],
        intermediates: [...intermediates, ...reader.list([...at, 'intermediates'], trust.intermediates)],
        pinned,
      },
    });
  });

  const { problems } = reader;
  if (problems.length > 0) return { problems: sortProblems(problems) };
  return { keys: { identities, anchors, intermediates, mailboxes, partners, pinned }, problems };
}

/**
 * The keys and certificates of a configuration, for the processes that decrypt and send.
 *
 * @param config As read by `loadConfig`; messages then name file, line and column.
 * @throws {ConfigError} `config-invalid` with all problems of the files
 */
export async function loadKeys(config: Config): Promise<LoadedKeys> {
  const read = readKeys(config, placeless);
  if (read.keys !== undefined) return read.keys;
  // only now, because the places take the reader of YAML along
  const source = await sourceOf(config);
  const again = readKeys(config, source);
  if (again.keys === undefined)
    throw new ConfigError(source.file, sortProblems(again.problems, source.names));
  return again.keys;
}
