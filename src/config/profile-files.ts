/** Profiles of the operator (one YAML file each, in the folder `profiles.folder`), and partners that name a profile. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile } from '../files.ts';
import { ownProfiles, type Profile, ProfileBook } from '../profile/profiles.ts';
import { type PresetName, presetNames } from '../smime/encode/presets.ts';
import type { Places, Problem } from './problem.ts';
import { outboundSettings, ownProfileSchema } from './profile-schema.ts';
import type { Config, PartnerConfig } from './schema.ts';

/**
 * The profiles in a folder, sorted by name.
 *
 * @throws {SealpostError} `config-invalid`, `file-access`: file and place, and what is wrong there
 */
export function readProfileFolder(folder: string | undefined): Profile[] {
  if (folder === undefined) return [];
  const profiles: Profile[] = [];
  for (const file of profileFilesOf(folder)) profiles.push(readProfile(join(folder, file), profiles));
  return profiles;
}

function profileFilesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^[^.].*\.ya?ml$/.test(name))
      .sort();
  } catch (cause) {
    throw new SealpostError('file-access', `${folder}: the folder of profiles cannot be read`, { cause });
  }
}

function readProfile(file: string, before: readonly Profile[]): Profile {
  const value = contentOf(file);
  const { data, error } = ownProfileSchema.safeParse(value);
  if (data === undefined) {
    const [issue] = error.issues;
    throw wrong(file, `${issue?.path.join('.') || 'the file'}: ${issue?.message}`);
  }
  const known = [...ownProfiles, ...before];
  const taken = [data.name, ...data.aliases].find((name) =>
    known.some((each) => each.name === name || each.aliases.includes(name)),
  );
  if (taken !== undefined) throw wrong(file, `there is another profile named ${taken}`);
  if (data.extends === undefined) return data;
  const base = known.find(
    ({ name, aliases }) => name === data.extends || aliases.includes(data.extends ?? ''),
  );
  if (base === undefined) throw wrong(file, `extends: there is no profile ${data.extends} before it`);
  const replaced = new Set(data.rules.map(({ id }) => id));
  return {
    ...data,
    // the one of the package, whatever is in between
    extends: base.extends ?? base.name,
    outbound: { ...base.outbound, ...data.outbound },
    rules: [...base.rules.filter(({ id }) => !replaced.has(id)), ...data.rules],
  };
}

function contentOf(file: string): unknown {
  const text = readRegularFile(file, fileLimits.config).toString('utf8');
  try {
    return parse(text);
  } catch (cause) {
    const [first = ''] = cause instanceof Error ? cause.message.split('\n') : [];
    throw new SealpostError('config-invalid', `${file}: ${first}`, { cause });
  }
}

function wrong(file: string, message: string): SealpostError {
  return new SealpostError('config-invalid', `${file}: ${message}`, {
    hint: 'docs/profiles.md shows the form; sealpost profiles show NAME --json shows those of the package',
  });
}

/** The operator's profiles, and the partners as these and our own profiles make them. */
export function readProfiles(
  { profiles: { folder, dates } }: Config,
  written: PartnerConfig[],
  source: Places,
): { profiles: Profile[]; book: ProfileBook; partners: PartnerConfig[]; problems: Problem[] } {
  const problems: Problem[] = [];
  let profiles: Profile[] = [];
  try {
    profiles = readProfileFolder(folder);
  } catch (error) {
    if (!(error instanceof SealpostError)) throw error;
    const { message, hint } = error;
    problems.push(source.problem(['profiles', 'folder'], message, hint === undefined ? {} : { hint }));
  }
  const book = new ProfileBook(profiles, dates);
  const partners = withProfiles(written, book, (index) => {
    const hint = 'keep one of them';
    const at = ['partners', index, 'profile'];
    problems.push(source.problem(at, 'replaces preset, which is set, too', { hint }));
  });
  return { profiles, book, partners, problems };
}

const presetOf = (name: string | undefined): PresetName | undefined =>
  presetNames.find((preset) => preset === name);

/**
 * Partners with what their profile says about outbound mail, as if it stood in their own settings, wherever these say
 * nothing.
 *
 * @param conflict called for a partner with a profile and a different preset
 */
function withProfiles(
  partners: PartnerConfig[],
  book: ProfileBook,
  conflict: (index: number) => void,
): PartnerConfig[] {
  if (partners.every(({ profile }) => profile === undefined)) return partners;
  return partners.map((partner, index) => {
    const profile = book.get(partner.profile ?? '');
    if (profile === undefined) return partner;
    if (partner.preset !== 'default' && book.get(partner.preset) !== profile) conflict(index);
    // one of ours, or the one that an operator's is built on, which may say more than settings can
    const preset = presetOf(profile.name) ?? presetOf(profile.extends) ?? 'default';
    if (presetOf(profile.name) !== undefined) return { ...partner, preset };
    const outbound = outboundSettings.parse(profile.outbound);
    const said = Object.entries(partner).filter(([, value]) => value !== undefined);
    return { ...partner, ...outbound, ...Object.fromEntries(said), preset };
  });
}
