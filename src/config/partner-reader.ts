/** Reads partner files. The text of each becomes a partner, or problems with their places. */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { SealpostError } from '../errors.ts';
import { explainIssue } from './explain.ts';
import type { KeptPartners } from './kept-partners.ts';
import { type PartnerFolder, readPartnerText, wholeFile } from './partner-files.ts';
import type { Problem, SettingPath } from './problem.ts';
import { type PartnerConfig, partnerSchema } from './schema.ts';
import { mapFormat } from './shape.ts';
import { ConfigSource } from './source.ts';
import type { Sources } from './sources.ts';

/** What was found in a partner file. */
interface ReadPartner {
  partner?: PartnerConfig;
  /** The files and folders that it names, as absolute paths, with their places in the file. */
  paths: [SettingPath, string][];
  problems: Problem[];
  source: ConfigSource;
}

/**
 * Reads the text of a partner file.
 *
 * @param folder relative paths in it are relative to this folder
 * @param shown name of the file for messages
 */
export function readPartner(text: string, folder: string, shown: string): ReadPartner {
  const source = new ConfigSource(text, shown);
  if (source.syntaxProblems.length > 0) return { paths: [], problems: [...source.syntaxProblems], source };
  const paths: ReadPartner['paths'] = [];
  const located = mapFormat(partnerSchema, source.value, 'path', (written, at) => {
    const path = resolve(folder, written);
    paths.push([at, path]);
    return path;
  });
  const parsed = partnerSchema.safeParse(located);
  if (parsed.success) return { partner: parsed.data, paths, problems: [], source };
  return {
    paths,
    problems: parsed.error.issues.flatMap((issue) => explainIssue(issue, partnerSchema, source)),
    source,
  };
}

export interface ReadFolder {
  /** Those that are valid. If there is an error, some are missing. */
  partners: PartnerConfig[];
  paths: [SettingPath, string][];
  problems: Problem[];
}

/**
 * Reads all partner files of a folder.
 *
 * @param own how many partners come before them
 * @param sources is given each file with a problem
 * @param kept what is known about files that have not changed
 */
export function readPartnerFolder(
  folder: PartnerFolder,
  own: number,
  sources: Sources,
  kept: KeptPartners | undefined,
): ReadFolder {
  const found: ReadFolder = { partners: [], paths: [], problems: [] };
  folder.names.forEach((name, at) => {
    const path = join(folder.path, name);
    const shown = join(folder.shown, name);
    try {
      const known = kept?.unchanged(name, path);
      if (known !== undefined) {
        found.partners.push(known);
        return;
      }
      const state = kept?.stateOf(path);
      const text = readPartnerText(folder.path, path);
      const digest = createHash('sha256').update(text).digest('base64');
      const same = state === undefined ? undefined : kept?.sameText(name, state, digest);
      if (same !== undefined) {
        found.partners.push(same);
        return;
      }
      const { partner, paths, problems, source } = readPartner(text, folder.path, shown);
      found.paths.push(
        ...paths.map(([to, named]): [SettingPath, string] => [['partners', own + at, ...to], named]),
      );
      found.problems.push(...problems);
      if (partner === undefined) sources.add(own + at, source);
      else {
        found.partners.push(partner);
        if (state !== undefined) kept?.add(name, { state, digest, partner });
      }
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      found.problems.push(wholeFile(shown, error.message.replace(`${path}: `, ''), error.hint));
    }
  });
  return found;
}
