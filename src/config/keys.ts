/** Loads the keys and certificates that the settings name. Code that listens on the network never imports this file. */
import { SealpostError } from '../errors.ts';
import {
  type Certificate,
  createIdentity,
  type Employed,
  hasPrivateKey,
  type Identity,
  keyBelongsTo,
  nameOf,
  readCertificates,
  readPkcs12,
  readPrivateKey,
} from '../pki/index.ts';
import { type IndexedPartners, openPartners } from './certificate-index.ts';
import { decodeParts, KeyReader, placeless } from './key-reader.ts';
import { originOf, sourceOf } from './origin.ts';
import { type ConfiguredCertificate, splitAuthorities } from './partner-certificates.ts';
import { ConfigError, type Places, type Problem, type SettingPath, sortProblems } from './problem.ts';
import type { Config } from './schema.ts';
import { readPrivateFile } from './secrets.ts';
import { termOf } from './tls.ts';

/** A key of our own, with its uses and when it signs. It decrypts as long as it is configured. */
export interface OwnIdentity extends Identity, Readonly<Omit<Employed<'decrypt' | 'sign'>, 'certificate'>> {
  /** The entry of the configuration that names it. */
  readonly entry: number;
}

/** The keys that a mailbox decrypts with, and what it trusts. */
export interface MailboxKeys {
  identities: readonly Identity[];
  trust: TrustedCertificates;
}

/** What makes a signer trusted for a mailbox. */
export interface TrustedCertificates {
  /** The global ones and those of the mailbox. */
  anchors: readonly Certificate[];
  /** Intermediate certificates that help to build paths. */
  intermediates: readonly Certificate[];
}

export interface LoadedKeys {
  /**
   * All our own keys. A name may occur several times: a PKCS#12 file may hold one key to sign and one to decrypt, a key
   * may have an old and a renewed certificate, and several entries of the configuration may share the name.
   */
  identities: readonly OwnIdentity[];
  /** Trusted for all mailboxes. */
  anchors: readonly Certificate[];
  /** Intermediate certificates that help to build paths, including the CA certificates in files of partners. */
  intermediates: readonly Certificate[];
  /** By name of the mailbox. */
  mailboxes: ReadonlyMap<string, MailboxKeys>;
  /**
   * Certificates of each partner by name, without CA certificates. Mail is encrypted for them, and they are trusted as
   * pinned while they are in force (`partner/certificates`).
   */
  partners: ReadonlyMap<string, readonly ConfiguredCertificate[]>;
  /** By name of the partner: roots of its own authority, for the approval of new certificates. */
  approvalAnchors: ReadonlyMap<string, readonly Certificate[]>;
  /** By name of the partner: of those that say which certificates prove that mail is from them. */
  partnerTrust: ReadonlyMap<string, PartnerTrust>;
}

/** `partners[].trust`. */
export interface PartnerTrust {
  readonly by: 'pins' | 'anchors' | 'both';
  /** SHA-256 of the roots that count, in hexadecimal; none for all. */
  readonly anchors: ReadonlySet<string>;
}

function identitiesOf(
  entry: Config['identities'][number],
  at: SettingPath,
  reader: KeyReader,
): OwnIdentity[] {
  const { use, from, until } = entry;
  const term = termOf({ from, until });
  return readIdentities(entry, at, reader).map((identity) =>
    Object.freeze({ ...identity, ...term, use, entry: Number(at[1]) }),
  );
}

function readIdentities(entry: Config['identities'][number], at: SettingPath, reader: KeyReader): Identity[] {
  const { name, certificate, key, pkcs12 } = entry;
  const { password: secret } = entry;
  const password = secret && reader.secret([...at, 'password'], secret);
  // the file would only fail again for the same reason
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

/** The certificates of partners, and those of authorities that are in the same files. */
export function partnersOf(config: Config, reader: KeyReader): IndexedPartners {
  const partners = new Map<string, ConfiguredCertificate[]>();
  const found: Certificate[] = [];
  config.partners.forEach(({ name, certificates }, index) => {
    const entries = certificates.flatMap(({ file, use, from, until, confirmed }, entry) =>
      reader.certificates(['partners', index, 'certificates', entry], file).map((certificate) => ({
        ...{ certificate, use, ...termOf({ from, until }), confirmed, file, entry },
        ...{ source: 'configuration' as const, thumbprint: certificate.thumbprint },
      })),
    );
    const { own, authorities } = splitAuthorities(entries.map(({ certificate }) => certificate));
    partners.set(
      name,
      entries.filter(({ certificate }) => own.has(certificate)),
    );
    for (const each of authorities) if (!found.some((other) => other.equals(each))) found.push(each);
  });
  return { partners, authorities: found };
}

/** Only the certificates of partners, for a process that has no keys. A file that cannot be read contributes none. */
export function loadPartnerCertificates(config: Config): LoadedKeys['partners'] {
  return (indexedOf(config) ?? partnersOf(config, new KeyReader(placeless))).partners;
}

/**
 * The public part of a configuration's keys, for a process that has none. A file that cannot be read contributes none.
 */
export function loadPublicCertificates(
  config: Config,
): Pick<LoadedKeys, 'anchors' | 'intermediates' | 'partners'> {
  const reader = new KeyReader(placeless);
  const { partners, authorities } = indexedOf(config) ?? partnersOf(config, reader);
  const anchors = reader.list(['trust', 'anchors'], config.trust.anchors);
  const intermediates = reader.list(['trust', 'intermediates'], config.trust.intermediates);
  return { partners, anchors, intermediates: [...intermediates, ...authorities] };
}

/** What the supervisor has read already; undefined in a process without a supervisor. */
function indexedOf(config: Config): IndexedPartners | undefined {
  const index = originOf(config)?.certificates;
  return index === undefined ? undefined : openPartners(index, config);
}

/**
 * Reads the keys and certificates of a configuration. It does not check expiry or key usage, because the answer changes
 * while the daemon runs (see `checkKeys` and `partner/certificates`).
 *
 * @param indexed the certificates of partners, if they have been read already
 * @returns without `keys` if a file, password or pair is wrong
 */
export function readKeys(
  config: Config,
  places: Places,
  indexed?: IndexedPartners,
): { keys: LoadedKeys; problems: Problem[] } | { keys?: never; problems: Problem[] } {
  const reader = new KeyReader(places);
  const identities = config.identities.flatMap((entry, index) =>
    identitiesOf(entry, ['identities', index], reader),
  );
  const anchors = reader.list(['trust', 'anchors'], config.trust.anchors);
  const intermediates = reader.list(['trust', 'intermediates'], config.trust.intermediates);

  const { partners, authorities } = indexed ?? partnersOf(config, reader);
  intermediates.push(...authorities);
  const approvalAnchors = new Map(
    config.partners.map(({ name, approval }, index) => [
      name,
      reader.list(['partners', index, 'approval', 'anchors'], approval.anchors),
    ]),
  );

  const mailboxes = new Map<string, MailboxKeys>();
  config.mailboxes.forEach(({ name, identities: named, trust }, index) => {
    const at = ['mailboxes', index, 'trust'];
    mailboxes.set(name, {
      identities: identities.filter(
        ({ name: each, use }) => use.includes('decrypt') && (named === undefined || named.includes(each)),
      ),
      trust: {
        anchors: [...anchors, ...reader.list([...at, 'anchors'], trust.anchors)],
        intermediates: [...intermediates, ...reader.list([...at, 'intermediates'], trust.intermediates)],
      },
    });
  });

  const trusts = [...mailboxes.values()].map(({ trust }) => trust);
  const partnerTrust = trustOf(config, [...anchors, ...trusts.flatMap((each) => each.anchors)], reader);
  const { problems } = reader;
  if (problems.length > 0) return { problems: sortProblems(problems) };
  const certificates = { anchors, intermediates, mailboxes, partners, approvalAnchors };
  return { keys: { identities, ...certificates, partnerTrust }, problems };
}

/** @param anchors all that signers may lead to: a partner chooses among them, and trusts nothing else */
function trustOf(
  config: Config,
  anchors: readonly Certificate[],
  reader: KeyReader,
): Map<string, PartnerTrust> {
  const found = new Map<string, PartnerTrust>();
  config.partners.forEach(({ name, trust }, index) => {
    if (trust === undefined) return;
    const at = ['partners', index, 'trust', 'anchors'];
    const named = reader.list(at, trust.anchors);
    for (const each of named)
      if (!anchors.some((other) => other.equals(each)))
        reader.report(at, `${nameOf(each)} is no anchor of trust or of a mailbox, so nothing leads to it`, {
          hint: 'write it in trust.anchors as well',
        });
    found.set(name, { by: trust.by, anchors: new Set(named.map(({ thumbprint }) => thumbprint)) });
  });
  return found;
}

/**
 * The keys and certificates of a configuration, for the processes that decrypt and send.
 *
 * @param config as read by `loadConfig`; messages then name file, line and column
 * @throws {ConfigError} `config-invalid` with all problems of the files
 */
export async function loadKeys(config: Config): Promise<LoadedKeys> {
  const indexed = indexedOf(config);
  const read = readKeys(config, placeless, indexed);
  if (read.keys !== undefined) return read.keys;
  // loaded only now, because the places need the YAML reader
  const source = await sourceOf(config);
  const again = readKeys(config, source, indexed);
  if (again.keys === undefined)
    throw new ConfigError(source.file, sortProblems(again.problems, source.names));
  return again.keys;
}
