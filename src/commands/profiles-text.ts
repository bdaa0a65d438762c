/** What the commands about profiles share: names and days on the command line, and citations. */
import { SealpostError } from '../errors.ts';
import type { Profile, ProfileBook, Rule } from '../profile/index.ts';

/** @throws {SealpostError} `usage` */
export function profileNamed(book: ProfileBook, name: string): Profile {
  const profile = book.get(name);
  if (profile !== undefined) return profile;
  throw new SealpostError('usage', `there is no profile ${name}`, { hint: 'see sealpost profiles list' });
}

/**
 * Midnight UTC of a day, or now.
 *
 * @throws {SealpostError} `usage`
 */
export function dayOf(text: string | undefined): Date {
  if (text === undefined) return new Date();
  const date = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : new Date(Number.NaN);
  if (!Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)) return date;
  throw new SealpostError('usage', `--at: ${text} is not a day`, { hint: 'write it as 2027-07-01' });
}

/** The citation of a rule in a line. */
export function sourceOf({ source: { document, version, section } }: Rule): string {
  return `${document}, ${version}, ${section}`;
}
