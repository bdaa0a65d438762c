/** What the pages of people and of programs share. */
import { refusal } from '../../api/index.ts';

/** The one of that name, in any case of its letters. Errors: `code`. */
export function namedIn<T extends { name: string }>(
  list: readonly T[],
  name: string | undefined,
  code: 'person-unknown' | 'client-unknown',
): T {
  const wanted = (name ?? '').toLowerCase();
  const found = list.find((each) => each.name.toLowerCase() === wanted);
  if (found) return found;
  throw refusal(code, `there is no ${code === 'person-unknown' ? 'person' : 'client'} ${name}`);
}
