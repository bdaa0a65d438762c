import type { Problem } from './problem.ts';
import type { Config } from './schema.ts';
import type { ConfigSource } from './source.ts';

/** What the schema can not say: settings that must fit together. */
export function checkRules(_config: Config, _source: ConfigSource): Problem[] {
  return [];
}
