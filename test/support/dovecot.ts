/** A private Dovecot on loopback: users in a file, mail in a temporary folder, TLS by a self-made certificate. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { freePort, reachable } from './net.ts';
import { makeTlsFiles, type TlsFiles } from './tls.ts';

const program = '/usr/sbin/dovecot';

/** As `skipWithoutDovecot`, for its LMTP server. */
export function skipWithoutLmtp(): string | false {
  if (existsSync('/usr/lib/dovecot/lmtp')) return skipWithoutDovecot();
  if (process.env.CI === 'true') throw new Error('dovecot-lmtpd is not installed');
  return 'dovecot-lmtpd is not installed';
}

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithoutDovecot(): string | false {
  if (existsSync(program)) return false;
  if (process.env.CI === 'true') throw new Error('dovecot is not installed');
  return 'dovecot is not installed';
}

export interface DovecotOptions {
  /** Lines that are added to the configuration. */
  settings?: string;
  /** Capabilities to announce, in place of its own. */
  capabilities?: string;
  /** Takes mail over LMTP as well, for its user and these. */
  lmtp?: string[];
  /** Base URL that tells whom a bearer token belongs to (the token is appended). */
  tokenInfo?: string;
}

export interface Dovecot {
  /** Clear text with STARTTLS, and implicit TLS. */
  port: number;
  tlsPort: number;
  tls: TlsFiles;
  /** With STARTTLS; 0 if it is not asked for. */
  lmtpPort: number;
  /** The user's maildir. */
  maildir: string;
  user: string;
  password: string;
  /** A connection of the test's own, logged in. */
  client(): Promise<ImapFlow>;
  /** kill -9 of the whole server. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and mail. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startDovecot(options: DovecotOptions = {}): Promise<Dovecot> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-dovecot-'));
  chmodSync(folder, 0o755);
  const tls = await makeTlsFiles();
  const [port, tlsPort] = [await freePort(), await freePort()];
  const [user, password] = ['orders@example.com', 'correct horse'];
  const root = process.getuid?.() === 0;
  // root may not own mail: as root the mail belongs to nobody, else to the user of the test
  const owner = root
    ? { uid: 65534, gid: 65534 }
    : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const mail = join(folder, 'mail');
  mkdirSync(mail);
  if (root) chownSync(mail, owner.uid, owner.gid);
  const lines = [user, ...(options.lmtp ?? [])].map((each) => `${each}:{PLAIN}${password}::::::\n`);
  writeFileSync(join(folder, 'users'), lines.join(''), { mode: 0o644 });
  const lmtpPort = options.lmtp === undefined ? 0 : await freePort();
  const lmtp =
    lmtpPort === 0
      ? ''
      : `service lmtp {\n inet_listener lmtp {\n  address = 127.0.0.1\n  port = ${lmtpPort}\n }\n}\n`;
  const self = userInfo().username;
  const identity = root
    ? ''
    : `default_internal_user = ${self}\ndefault_login_user = ${self}\ndefault_internal_group = ${owner.gid}\n`;
  const oauth = join(folder, 'oauth2.conf');
  if (options.tokenInfo !== undefined) {
    writeFileSync(oauth, `tokeninfo_url = ${options.tokenInfo}\nusername_attribute = email\n`, {
      mode: 0o644,
    });
  }
  const bearer =
    options.tokenInfo === undefined
      ? ''
      : `auth_mechanisms = plain oauthbearer xoauth2\npassdb {\n driver = oauth2\n mechanisms = oauthbearer xoauth2\n args = ${oauth}\n}\n`;
  writeFileSync(
    join(folder, 'dovecot.conf'),
    `${identity}
protocols = imap${lmtpPort === 0 ? '' : ' lmtp'}
listen = 127.0.0.1
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
ssl = yes
ssl_cert = <${tls.cert}
ssl_key = <${tls.key}
disable_plaintext_auth = no
mail_location = maildir:${mail}/%u
first_valid_uid = 1
mail_max_userip_connections = 50
${options.capabilities === undefined ? '' : `imap_capability = ${options.capabilities}`}
${bearer}passdb {
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
  inet_listener imaps {
    port = ${tlsPort}
    ssl = yes
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
${lmtp}${options.settings ?? ''}
`,
  );
  let child: ChildProcess | undefined;
  const clients: ImapFlow[] = [];

  const dovecot: Dovecot = {
    port,
    tlsPort,
    tls,
    lmtpPort,
    maildir: join(mail, user),
    user,
    password,
    async client() {
      const client = new ImapFlow({
        host: '127.0.0.1',
        port: tlsPort,
        secure: true,
        tls: { ca: tls.pem },
        auth: { user, pass: password },
        logger: false,
        disableAutoIdle: true,
      });
      client.on('error', () => {});
      await client.connect();
      clients.push(client);
      return client;
    },
    async kill() {
      const running = child;
      child = undefined;
      if (running === undefined) return;
      const ended = new Promise((resolve) => running.once('exit', resolve));
      // its children notice that the master is gone; the group makes sure of it
      if (running.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
      await ended;
      rmSync(join(folder, 'run'), { recursive: true, force: true });
    },
    async start() {
      child = spawn(program, ['-F', '-c', join(folder, 'dovecot.conf')], { detached: true, stdio: 'ignore' });
      child.on('error', () => {});
      try {
        await reachable(tlsPort);
      } catch (cause) {
        const log = existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8') : '';
        throw new Error(`dovecot did not start: ${log.slice(-2000)}`, { cause });
      }
    },
    async stop() {
      for (const client of clients) client.close();
      await dovecot.kill();
      tls.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  process.once('exit', () => {
    if (child?.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  });
  await dovecot.start();
  return dovecot;
}
