/** The settings of partners that name a profile. */
import { SealpostError } from '../errors.ts';
import { type Profile, ProfileBook } from '../profile/profiles.ts';
import { type PresetName, presetNames } from '../smime/encode/presets.ts';
import type { Places, Problem } from './problem.ts';
import { readProfileFolder } from './profile-files.ts';
import { outboundSettings } from './profile-schema.ts';
import type { Config, PartnerConfig } from './schema.ts';

/** The operator's profiles, and the partners as these and ours make them. */
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
    problems.push(source.problem(at, 'stands in place of preset, which is set, too', { hint }));
  });
  return { profiles, book, partners, problems };
}

const presetOf = (name: string | undefined): PresetName | undefined =>
  presetNames.find((preset) => preset === name);

/**
 * Partners as if what their profile says about outbound mail stood in their own settings, where they say nothing.
 *
 * @param conflict called for a partner with a profile and another preset
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
    // one of ours, or what an operator's is built on, which may say more than settings can
    const preset = presetOf(profile.name) ?? presetOf(profile.extends) ?? 'default';
    if (presetOf(profile.name) !== undefined) return { ...partner, preset };
    const outbound = outboundSettings.parse(profile.outbound);
    const said = Object.entries(partner).filter(([, value]) => value !== undefined);
    return { ...partner, ...outbound, ...Object.fromEntries(said), preset };
  });
}
