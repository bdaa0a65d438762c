/**
 * Where a configuration was read from, and how one process passes a checked one to another. Reading YAML and checking
 * it against the schema take longer than the rest of a role's start, so only the supervisor does it.
 */
import { join } from 'node:path';
import type { Profile } from '../profile/profiles.ts';
import type { PartnerFolder } from './partner-files.ts';
import type { Config, PartnerConfig } from './schema.ts';
import type { Sources } from './sources.ts';

/** A configuration file as it was read, with the partner files that belong to it. */
export interface Origin {
  file: string;
  text: string;
  /** What it says about the folder of partner files, if anything. */
  setting: string | undefined;
  /** How many partners are in the file itself. Those with their own files come after them. */
  own: number;
  folder: PartnerFolder;
  /** The index of its partners' certificates, made by the supervisor (`certificate-index.ts`). */
  certificates?: string;
  /** Profiles of the operator, with everything that they are built on. */
  profiles: readonly Profile[];
}

const origins = new WeakMap<Config, Origin>();
const madeInCode: Origin = {
  file: 'configuration',
  text: '',
  setting: undefined,
  own: Number.POSITIVE_INFINITY,
  folder: { path: '', shown: '', names: [] },
  profiles: [],
};

/** Remembers where a configuration was read from, so that later checks can name places. */
export function rememberOrigin(config: Config, origin: Origin): void {
  origins.set(config, origin);
}

/** Where a configuration was read from; undefined if it was made in code. */
export function originOf(config: Config): Origin | undefined {
  return origins.get(config);
}

/** The file of a partner that has its own; undefined for one in the configuration file. */
export function partnerFileOf(config: Config, partner: PartnerConfig): string | undefined {
  const { own, folder } = origins.get(config) ?? madeInCode;
  const name = folder.names[config.partners.indexOf(partner) - own];
  return name === undefined ? undefined : join(folder.path, name);
}

/** Where a configuration was read from; without places if it was made in code. Loads the YAML reader. */
export async function sourceOf(config: Config): Promise<Sources> {
  const [{ ConfigSource }, { Sources }] = await Promise.all([import('./source.ts'), import('./sources.ts')]);
  const { text, file, own, folder } = origins.get(config) ?? madeInCode;
  return new Sources(new ConfigSource(text, file), own, folder);
}

/**
 * A checked configuration with its origin, as text for `restoreConfig`. It holds no secrets, because the configuration
 * has none: it says where they are.
 *
 * @param certificates the index of its partners' certificates
 */
export function storeConfig(config: Config, certificates?: string): string {
  return JSON.stringify({ origin: { ...(origins.get(config) ?? madeInCode), certificates }, config });
}

/** The configuration that `storeConfig` wrote. It is not checked again. */
export function restoreConfig(stored: string): Config {
  const { origin, config }: { origin: Origin; config: Config } = JSON.parse(stored);
  rememberOrigin(config, origin);
  return config;
}

/** A copy with other settings, which still knows its origin. */
export function changedConfig(config: Config, changes: Partial<Config>): Config {
  const changed = { ...config, ...changes };
  rememberOrigin(changed, origins.get(config) ?? madeInCode);
  return changed;
}
