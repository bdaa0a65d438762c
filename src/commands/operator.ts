/** Who calls a command, for the audit trail. */
import { hostname, userInfo } from 'node:os';

/** `user@host`; with sudo, the user who called sudo. */
export function operator(): string {
  const user = process.env.SUDO_USER || nameOf();
  return `${user}@${hostname()}`;
}

function nameOf(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user may have no name.
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}
