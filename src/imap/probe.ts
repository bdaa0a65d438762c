import type { Secret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Tokens } from '../oauth/index.ts';
import { Connector, type ImapConfig, leave, sessionError } from './connect.ts';
import { pathOf, refuseSameFolder } from './folder.ts';
import { watchOf } from './watch.ts';

/** Milliseconds for the connection and the login. */
const LOGIN_TIMEOUT = 30_000;

/** What works, but not as well as it could. */
export interface ProbeNote {
  message: string;
  hint: string;
}

/**
 * Logs in, opens the folder read-only, and checks what the server supports and whether the folder for the action `move`
 * exists. Errors: `imap-failed`, with the server's words; `config-invalid`; those of the secrets.
 */
export async function probeMailbox(
  config: ImapConfig,
  readSecret: (secret: Secret) => string,
  tokens?: Pick<Tokens, 'for'>,
): Promise<ProbeNote[]> {
  const client = await new Connector(config, readSecret, tokens).open(AbortSignal.timeout(LOGIN_TIMEOUT));
  const watch = watchOf(client);
  try {
    await watch
      .answered('SELECT', () => client.mailboxOpen(config.folder, { readOnly: true }))
      .catch((cause: unknown) => {
        if (!client.usable) throw cause;
        throw new SealpostError('imap-failed', `${config.host} does not open the folder ${config.folder}`, {
          cause,
        });
      });
    refuseSameFolder(client, config);
    const notes: ProbeNote[] = [];
    const has = (capability: string) => client.capabilities.has(capability);
    const removes = config.action === 'delete' || (config.action === 'move' && !has('MOVE'));
    if (removes && !has('UIDPLUS'))
      notes.push({
        message: `${config.host} has no UIDPLUS, so what was ${config.action === 'move' ? 'copied' : 'stored'} is only marked \\Deleted`,
        hint: 'expunge the folder now and then, or use the action seen',
      });
    if (config.action === 'move' && !has('MOVE'))
      notes.push({
        message: `${config.host} has no MOVE, so messages are copied and then removed`,
        hint: 'nothing to do; a crash in between can leave a copy',
      });
    if (config.idle && !has('IDLE'))
      notes.push({
        message: `${config.host} has no IDLE, so new mail is seen at the next poll only`,
        hint: 'set a short imap.pollInterval, and imap.idle to false',
      });
    if (config.action === 'move') {
      const target = pathOf(config.moveTo).join((client.mailbox || undefined)?.delimiter ?? '/');
      const folders = await watch.answered('LIST', () => client.list());
      if (!folders.some(({ path }) => path === target))
        notes.push({
          message: `there is no folder ${target} yet`,
          hint: 'it is created at the first session if the server allows it',
        });
    }
    return notes;
  } catch (error) {
    throw sessionError(error, client, config);
  } finally {
    await leave(client);
  }
}
