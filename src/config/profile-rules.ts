/** What settings say about profiles: which ones there are, and whether those that are named exist. */
import { ProfileBook } from '../profile/profiles.ts';
import { originOf } from './origin.ts';
import type { Report } from './problem.ts';
import type { Config } from './schema.ts';

const books = new WeakMap<Config, ProfileBook>();

/** All profiles that this configuration may name, with the dates that it gives to unverified rules. */
export function profileBook(config: Config): ProfileBook {
  let book = books.get(config);
  if (book === undefined) {
    book = new ProfileBook(originOf(config)?.profiles, config.profiles.dates);
    books.set(config, book);
  }
  return book;
}

export function checkProfiles(config: Config, book: ProfileBook, report: Report): void {
  const known = book.profiles.map(({ name }) => name);
  const check = (name: string | undefined, at: (string | number)[]) => {
    if (name !== undefined && book.get(name) === undefined)
      report(at, `there is no profile ${name}`, { hint: `there are ${known.join(', ')}` });
  };
  config.partners.forEach(({ profile, minimumProfile }, index) => {
    check(profile, ['partners', index, 'profile']);
    check(minimumProfile, ['partners', index, 'minimumProfile']);
  });
  config.mailboxes.forEach(({ minimumProfile }, index) => {
    check(minimumProfile, ['mailboxes', index, 'minimumProfile']);
  });
  for (const key of Object.keys(config.profiles.dates)) {
    const [name = '', id] = key.split('/');
    const rule = book.get(name)?.rules.find((each) => each.id === id);
    if (rule === undefined)
      report(['profiles', 'dates', key], 'names no rule', {
        hint: 'write PROFILE/RULE, as sealpost profiles show prints it',
      });
    else if (rule.unverified !== true)
      report(['profiles', 'dates', key], 'its date is in the source that it cites', {
        hint: 'write a profile of your own with another date',
      });
  }
}
