/**
 * Where a configuration was read from, and how one process gives a checked one to another. Reading YAML and checking it
 * against the schema take longer than the rest of a role's start, so the supervisor alone does it.
 */
import type { Config } from './schema.ts';
import type { ConfigSource } from './source.ts';

/** A configuration file as it was read. */
interface Origin {
  file: string;
  text: string;
}

const origins = new WeakMap<Config, Origin>();
const madeInCode: Origin = { file: 'configuration', text: '' };

/** Remembers where a configuration was read from, so that later checks can name places. */
export function rememberOrigin(config: Config, origin: Origin): void {
  origins.set(config, origin);
}

/** Where a configuration was read from; without places if it was made in code. Loads the reader of YAML. */
export async function sourceOf(config: Config): Promise<ConfigSource> {
  const { ConfigSource } = await import('./source.ts');
  const { text, file } = origins.get(config) ?? madeInCode;
  return new ConfigSource(text, file);
}

/**
 * A checked configuration with its origin, as text for `restoreConfig`. It holds no secrets, as the file does not: it
 * says where they are.
 */
export function storeConfig(config: Config): string {
  return JSON.stringify({ origin: origins.get(config) ?? madeInCode, config });
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
