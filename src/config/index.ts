/**
 * The configuration: every setting once (`schema.ts`), read and checked as a whole (`load.ts`), and the keys,
 * certificates and secrets that it names. Begin with `schema.ts`. The code that reads the file is loaded only when it
 * is called, because YAML and the schema are a third of what a process loads. The same goes for the code that reads
 * keys, which needs X.509.
 */
import type { ProfileBook } from '../profile/profiles.ts';
import type { CheckProbes, OnlineProbes, ProbeNote } from './check.ts';
import type { LoadedDkimKey } from './dkim-keys.ts';
import { lacksKept } from './kept-partners.ts';
import type { LoadedKeys } from './keys.ts';
import { knownConfigs } from './known.ts';
import { originOf } from './origin.ts';
import type { Problem } from './problem.ts';
import type { Config, DkimConfig } from './schema.ts';
import { readConfigText } from './secrets.ts';
import type { ListedSetting } from './settings-list.ts';

/**
 * See `loadConfig` in `load.ts`, which is loaded only if the file was not found valid before.
 *
 * @param starts the caller starts the daemon, so what was read of partner files is kept for reloads
 */
export async function loadConfig(file: string, starts = false): Promise<Config> {
  const text = readConfigText(file);
  const known = knownConfigs();
  const found = known?.recall(file, text);
  const files = found && originOf(found)?.folder.names.length;
  if (found !== undefined && !(starts && lacksKept(found, files ?? 0))) return found;
  const load = await import('./load.ts');
  const { config } = load.openConfig(file, text);
  known?.remember(file, text, config);
  return config;
}

/**
 * The settings of a configuration file that was found valid before; undefined if they must be read. Its partners may be
 * out of date.
 */
export function knownSettings(file: string): Config | undefined {
  return knownConfigs()?.recallSettings(file, readConfigText(file));
}

/** See `listSettings` in `settings-list.ts`, which needs YAML and the schema. */
export async function loadSettingsList(config: Config): Promise<ListedSetting[]> {
  const list = await import('./settings-list.ts');
  return await list.listSettings(config);
}

/** See `partnerSettings` in `settings-list.ts`. */
export async function loadPartnerSettings(config: Config): Promise<(index: number) => ListedSetting[]> {
  const list = await import('./settings-list.ts');
  return await list.partnerSettings(config);
}

/** See `loadKeys` in `keys.ts`. */
export async function loadKeys(config: Config): Promise<LoadedKeys> {
  const keys = await import('./keys.ts');
  return await keys.loadKeys(config);
}

/** See `loadDkimKeys` in `dkim-keys.ts`. */
export async function loadDkimKeys(config: Pick<Config, 'dkim'>): Promise<LoadedDkimKey[]> {
  if (config.dkim.length === 0) return [];
  const keys = await import('./dkim-keys.ts');
  return keys.loadDkimKeys(config);
}

/** See `readDkimKey` in `dkim-keys.ts`. */
export async function readDkimKey(entry: DkimConfig): Promise<LoadedDkimKey> {
  const keys = await import('./dkim-keys.ts');
  return keys.readDkimKey(entry);
}

/** See `loadPartnerCertificates` in `keys.ts`. */
export async function loadPartnerCertificates(config: Config): Promise<LoadedKeys['partners']> {
  const keys = await import('./keys.ts');
  return keys.loadPartnerCertificates(config);
}

/** See `loadPublicCertificates` in `keys.ts`. */
export async function loadPublicCertificates(
  config: Config,
): Promise<Pick<LoadedKeys, 'anchors' | 'intermediates' | 'partners'>> {
  const keys = await import('./keys.ts');
  return keys.loadPublicCertificates(config);
}

/** See `profileBook` in `profile-rules.ts`. */
export async function profileBook(config: Config): Promise<ProfileBook> {
  const rules = await import('./profile-rules.ts');
  return rules.profileBook(config);
}

/**
 * Makes the index of all partners' certificates, which the roles then read instead of the files. Errors:
 * `config-invalid` with the problems of the files and their places.
 */
export async function indexCertificates(
  config: Config,
  target: string,
): Promise<{ read: number; kept: number }> {
  const index = await import('./index-certificates.ts');
  return await index.indexCertificates(config, target);
}

/** See `checkConfig` in `check.ts`. */
export async function checkConfig(file: string, probes?: CheckProbes): Promise<Problem[]> {
  const check = await import('./check.ts');
  return await check.checkConfig(file, probes);
}

/** See `shareable` and `shareableSetting` in `shareable.ts`. */
export async function loadShareable(): Promise<typeof import('./shareable.ts')> {
  return await import('./shareable.ts');
}

/** See `secretVariables` in `secret-places.ts`. */
export async function secretVariables<Role extends string>(
  roles: readonly Role[],
  config: Config,
): Promise<ReadonlyMap<Role, readonly string[]>> {
  const places = await import('./secret-places.ts');
  return places.secretVariables(roles, config);
}

export { AddressBook, type AddressKey, parseAddressEntry } from './addresses.ts';
export {
  allDestinations,
  allRoutes,
  isPrivateRedis,
  ownAddresses,
  revocationModeOf,
  signersOf,
  strayOf,
} from './facts.ts';
export { isLoopback, networkOf, ownName } from './hosts.ts';
export { saveKept } from './kept-partners.ts';
export type { LoadedKeys, OwnIdentity, PartnerTrust } from './keys.ts';
export { configFiles } from './named-files.ts';
export { changedConfig, originOf, partnerFileOf, restoreConfig, storeConfig } from './origin.ts';
export { PartnerNames, partnerKey } from './partner-names.ts';
export type { PolicyConfig } from './policy-settings.ts';
export { ConfigError, formatProblem, type Problem, refuses } from './problem.ts';
export { parseRecipientTemplate, type RecipientTemplate } from './recipient-template.ts';
export type { OAuth2Config } from './route-rules.ts';
export type {
  Config,
  DestinationConfig,
  DkimConfig,
  FolderConfig,
  MailboxConfig,
  PartnerConfig,
  Secret,
} from './schema.ts';
export { readPrivateFile, readPublicFile, readSecret } from './secrets.ts';
export { followTls, type ListenerTls, readCertificateAndKey, tlsAt } from './tls.ts';
export { knownTls, publishTls, type TlsSpans, tlsSpans } from './tls-spans.ts';
export { readDuration, readSize } from './unit-text.ts';
export type { OnlineProbes, ProbeNote };
