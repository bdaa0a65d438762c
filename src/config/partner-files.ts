/**
 * Partners that have a file of their own. Each `*.yaml` file in one folder is one partner, written like an entry of
 * `partners`.
 */
import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { hasCode, SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile } from '../files.ts';
import type { Problem, SettingPath } from './problem.ts';

/** The partner files of a configuration. */
export interface PartnerFolder {
  /** Absolute. */
  path: string;
  /** For messages: relative if the configuration file was given as a relative path. */
  shown: string;
  /** Names of the files in it, in order. */
  names: string[];
}

/** What is kept of a partner file that was found valid. */
export interface ReadPartner<Partner> {
  partner: Partner;
  /** The files and folders that it names, as absolute paths. */
  paths: [SettingPath, string][];
}

/**
 * The partner files in a folder; problems for what cannot be read or is not a file. Names that begin with a dot are not
 * partners: editors' drafts, and `..data` in a mounted volume of Kubernetes.
 *
 * @param setting as written in the configuration file; undefined for the default
 */
export function listPartnerFiles(
  configFile: string,
  setting: string | undefined,
): { folder: PartnerFolder; problems: Problem[] } {
  const path = resolve(dirname(resolve(configFile)), setting ?? 'partners');
  const shown = isAbsolute(configFile) || isAbsolute(setting ?? '') ? path : relative(process.cwd(), path);
  const folder: PartnerFolder = { path, shown, names: [] };
  let names: string[];
  try {
    names = readdirSync(path).sort();
  } catch (error) {
    const isMissing = hasCode(error, 'ENOENT');
    if (isMissing && setting === undefined) return { folder, problems: [] };
    const others = hasCode(error, 'ENOTDIR') ? 'is not a folder' : 'cannot be read';
    const message = isMissing ? 'there is no such folder' : others;
    return {
      folder,
      problems: [wholeFile(shown, message, 'partnerFiles names the folder of partner files')],
    };
  }
  const seen = names.filter((name) => !name.startsWith('.'));
  folder.names = seen.filter((name) => name.endsWith('.yaml'));
  const problems = seen
    .filter((name) => name.endsWith('.yml'))
    .map((name) => wholeFile(join(shown, name), 'is not read', 'partner files end in .yaml', 'warning'));
  return { folder, problems };
}

/**
 * The text of a partner file. A link is allowed if it stays within the folder, as in a mounted volume. A file elsewhere
 * may belong to somebody who must not decide who is trusted.
 *
 * @throws {SealpostError} `file-access`
 */
export function readPartnerText(folder: string, file: string): string {
  if (isLink(file) && !realpathOf(file).startsWith(`${realpathOf(folder)}${sep}`))
    throw new SealpostError(
      'file-access',
      `${file}: is a link that leads out of the folder of partner files`,
      {
        hint: 'put the file itself there',
      },
    );
  return readRegularFile(file, fileLimits.partner).toString('utf8');
}

/** If the file is not a link, it is where it is named, in the folder itself. */
function isLink(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

function realpathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    // readRegularFile has the words for it
    if (hasCode(error, 'ENOENT', 'EACCES', 'ELOOP')) return resolve(path);
    throw error;
  }
}

/** Whether everyone can write to the folder: then everyone decides who is trusted. */
export function isOpenToAll(folder: string): boolean {
  try {
    return (statSync(folder).mode & 0o002) !== 0;
  } catch {
    return false;
  }
}

/** A problem of a file as a whole. */
export function wholeFile(
  file: string,
  message: string,
  hint?: string,
  severity: Problem['severity'] = 'error',
): Problem {
  return {
    severity,
    file,
    line: 1,
    column: 1,
    setting: '',
    message,
    ...(hint !== undefined && { hint }),
  };
}
