/** Makes the index of certificates, and reports problems in the files with their places. */
import { type BuiltIndex, buildIndex } from './certificate-index.ts';
import { KeyReader, placeless } from './key-reader.ts';
import { programOfThis } from './known.ts';
import { sourceOf } from './origin.ts';
import { ConfigError, sortProblems } from './problem.ts';
import type { Config } from './schema.ts';

/** See `index.ts`. */
export async function indexCertificates(config: Config, target: string): Promise<BuiltIndex> {
  const reader = new KeyReader(placeless);
  const built = buildIndex(config, target, programOfThis(), reader);
  if (reader.problems.length === 0) return built;
  // loaded only now, because the places need the YAML reader
  const source = await sourceOf(config);
  const again = new KeyReader(source);
  const second = buildIndex(config, target, programOfThis(), again);
  if (again.problems.length === 0) return second;
  throw new ConfigError(source.file, sortProblems(again.problems, source.names));
}
