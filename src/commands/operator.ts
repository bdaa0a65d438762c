/** Who calls a command, for the audit trail. */
import { hostname, userInfo } from 'node:os';
import { cleanText } from '../log.ts';

/**
 * `user@host`, as the system says. `SUDO_USER` stands behind it as claimed: whoever is root can write any name into it.
 */
export function operator(): string {
  const user = `${nameOf()}@${hostname()}`;
  const claimed = cleanText(process.env.SUDO_USER ?? '', 64);
  return claimed === '' ? user : `${user} (SUDO_USER says ${claimed})`;
}

function nameOf(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user may have no name.
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}
