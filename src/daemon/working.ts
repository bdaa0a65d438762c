import type { Config } from '../config/index.ts';
import type { RoleName } from './protocol.ts';

/** False for a role that has nothing to do with this configuration. */
export function hasWork(role: RoleName, config: Config): boolean {
  if (role === 'receive')
    return config.smtp.listen.length > 0 || config.mailboxes.some((mailbox) => mailbox.imap);
  if (role === 'decrypt') return config.mailboxes.length > 0;
  if (role === 'handoff')
    return config.mailboxes.length > 0 || config.partners.some(({ onSuspend }) => onSuspend);
  if (role === 'outbound') return config.partners.length > 0;
  if (role === 'submit') return config.folders.length > 0 || config.clientQueues.enabled;
  if (role === 'api') return config.api.port !== undefined || config.events !== undefined;
  if (role === 'console') return config.console.port !== undefined;
  return config.http.port !== undefined;
}
