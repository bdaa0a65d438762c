/** A private Dovecot on loopback for the demo, if it is installed: one user, mail in the demo's folder. */
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImapFlow } from 'imapflow';

const program = ['/usr/sbin/dovecot', '/usr/local/sbin/dovecot'].find(existsSync);
const password = 'demo';

export interface DemoMailbox {
  /** The `imap` entry of a mailbox in the configuration. */
  imap: Record<string, unknown>;
  /** Puts a mail into the inbox. */
  append(mail: Buffer): Promise<void>;
  /** Names of the folders that hold mail. */
  folders(): Promise<string[]>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answers(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('close', () => resolve(false)).once('connect', () => socket.end());
    });
    if (open) return true;
    await sleep(50);
  }
  return false;
}

function configuration(folder: string, user: string, port: number): string {
  const { uid, gid, username } = userInfo();
  // Dovecot does not let root own mail, so it belongs to nobody.
  const owner = uid === 0 ? { uid: 65534, gid: 65534 } : { uid, gid };
  const mail = join(folder, 'mail');
  mkdirSync(mail, { recursive: true });
  // That user must be able to enter each folder on the path.
  for (const path of [folder, dirname(folder)]) chmodSync(path, 0o755);
  if (uid === 0) chownSync(mail, owner.uid, owner.gid);
  writeFileSync(join(folder, 'users'), `${user}:{PLAIN}${password}::::::\n`, { mode: 0o644 });
  const identity =
    uid === 0
      ? ''
      : `default_internal_user = ${username}\ndefault_login_user = ${username}\ndefault_internal_group = ${gid}\n`;
  return `${identity}protocols = imap
listen = 127.0.0.1
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:${mail}/%u
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = ${folder}/users
}
userdb {
  driver = static
  args = uid=${owner.uid} gid=${owner.gid} home=${mail}/%u
}
service imap-login {
  chroot =
  inet_listener imap {
    port = ${port}
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`;
}

/** Starts it; undefined if Dovecot is not installed or does not start as this user. */
export async function startDemoMailbox(folder: string, user: string): Promise<DemoMailbox | undefined> {
  if (program === undefined) return undefined;
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const file = join(folder, 'dovecot.conf');
  writeFileSync(file, configuration(folder, user, port));
  writeFileSync(join(folder, 'password'), password, { mode: 0o600 });
  const server = spawn(program, ['-F', '-c', file], { detached: true, stdio: 'ignore' });
  const ended = new Promise<void>((resolve) =>
    server.once('exit', () => resolve()).once('error', () => resolve()),
  );
  const kill = () => {
    if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid, 'SIGTERM');
  };
  process.once('exit', kill);
  const stop = async () => {
    kill();
    await ended;
    process.off('exit', kill);
  };
  if (!(await Promise.race([answers(port), ended.then(() => false)]))) {
    await stop();
    return undefined;
  }
  const withClient = async <T>(work: (client: ImapFlow) => Promise<T>): Promise<T> => {
    const client = new ImapFlow({
      host: '127.0.0.1',
      port,
      secure: false,
      doSTARTTLS: false,
      auth: { user, pass: password },
      logger: false,
    });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.logout();
    }
  };
  return {
    imap: { host: '127.0.0.1', port, tls: 'none', user, password: { file: join(folder, 'password') } },
    append: (mail) => withClient(async (client) => void (await client.append('INBOX', mail))),
    folders: () =>
      withClient(async (client) => {
        const found: string[] = [];
        for (const { path } of await client.list()) {
          const status = await client.status(path, { messages: true });
          if (status !== false && status.messages) found.push(path);
        }
        return found;
      }),
    stop,
  };
}
