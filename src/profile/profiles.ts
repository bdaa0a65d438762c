/** Our profiles, with the operator's beside them, by name. */
import { profileFiles } from '../smime/encode/presets.ts';
import type { Profile } from './types.ts';

export { certificateUses, directions, levels, type Profile, protections } from './types.ts';

/**
 * The rest of its form is checked by the schema of the room `config`: in a test for ours, at start for an operator's.
 */
function isProfile(value: object): value is Profile {
  return 'name' in value && 'outbound' in value && 'rules' in value && Array.isArray(value.rules);
}

/** In the order in which they are listed. */
export const ownProfiles: readonly Profile[] = profileFiles.filter(isProfile);

/** Profiles by name and alias, and the days that settings give to rules which nobody could read in their source. */
export class ProfileBook {
  readonly profiles: readonly Profile[];
  /** By `PROFILE/RULE`. */
  readonly dates: ReadonlyMap<string, string>;
  readonly #byName = new Map<string, Profile>();

  constructor(operators: readonly Profile[] = [], dates: Readonly<Record<string, string>> = {}) {
    this.profiles = [...ownProfiles, ...operators];
    this.dates = new Map(Object.entries(dates));
    for (const profile of this.profiles)
      for (const name of [profile.name, ...profile.aliases]) this.#byName.set(name, profile);
  }

  get(name: string): Profile | undefined {
    return this.#byName.get(name);
  }
}
