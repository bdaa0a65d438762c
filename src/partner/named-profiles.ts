/** The profiles that the settings of a partner name, with the rules that hold on a day. */
import { type Config, type PartnerConfig, profileBook } from '../config/index.ts';

export interface NamedProfile {
  name: string;
  title: string;
  version: string;
  /** outbound: its settings apply to mail to the partner. minimum: mail from it must meet it. */
  use: ('outbound' | 'minimum')[];
  rules: {
    id: string;
    /** must or should. */
    level: string;
    says: string;
    /** Document, version and section. */
    source: string;
  }[];
}

export async function namedProfiles(
  config: Config,
  { profile, minimumProfile }: Pick<PartnerConfig, 'profile' | 'minimumProfile'>,
  at: Date,
): Promise<NamedProfile[]> {
  // Who asks for a partner that names none needs no rules.
  const [book, { rulesAt }] = await Promise.all([profileBook(config), import('../profile/index.ts')]);
  const named = [profile, minimumProfile].flatMap((name) =>
    name === undefined ? [] : (book.get(name) ?? []),
  );
  return [...new Set(named)].map((each) => ({
    ...{ name: each.name, title: each.title, version: each.version },
    use: [
      ...(profile !== undefined && book.get(profile) === each ? (['outbound'] as const) : []),
      ...(minimumProfile !== undefined && book.get(minimumProfile) === each ? (['minimum'] as const) : []),
    ],
    rules: rulesAt(each, at, book.dates).map(({ level, rule: { id, says, source } }) => ({
      ...{ id, level, says },
      source: `${source.document}, ${source.version}, ${source.section}`,
    })),
  }));
}
