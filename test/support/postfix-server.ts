/**
 * Postfix itself, in a folder of its own: smtpd with TLS, virtual mailboxes, and routes to other servers. Needs root.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, reachable } from './net.ts';
import { findProgram } from './peers/run.ts';
import { signalOne } from './signal.ts';

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithoutPostfixServer(): string | false {
  process.env.PATH = `${process.env.PATH}:/usr/sbin`;
  if (process.getuid?.() !== 0) return 'Postfix is started by root only';
  if (findProgram('postfix')) return false;
  if (process.env.CI === 'true') throw new Error('postfix is not installed');
  return 'postfix is not installed';
}

export interface PostfixSettings {
  tls: { cert: string; key: string };
  /** Addresses that have a mailbox; any other of their domains is refused at RCPT. */
  mailboxes: string[];
  /** Ports on this machine by domain: mail for it is passed on there. */
  passedOn?: Record<string, number>;
  /** Addresses whose mail goes to another one, unchanged. */
  redirected?: Record<string, string>;
}

export interface PostfixServer {
  port: number;
  /** The mails in a mailbox, oldest first, with CRLF line ends. */
  mails(address: string): Buffer[];
  log(): string;
  stop(): Promise<void>;
}

const domainOf = (address: string) => address.slice(address.indexOf('@') + 1);
const table = (rows: Record<string, string>) =>
  Object.entries(rows)
    .map(([key, value]) => `${key} ${value}\n`)
    .join('');

export async function startPostfix({
  tls,
  mailboxes,
  passedOn = {},
  redirected = {},
}: PostfixSettings): Promise<PostfixServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-postfix-'));
  chmodSync(folder, 0o755);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return `texthash:${join(folder, name)}`;
  };
  const { uid, gid } = accountOf('postfix');
  for (const name of ['queue', 'data', 'mail']) mkdirSync(join(folder, name));
  for (const name of ['data', 'mail']) chownSync(join(folder, name), uid, gid);
  const port = await freePort();
  const settings = {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'queue'),
    data_directory: join(folder, 'data'),
    maillog_file: join(folder, 'log'),
    maillog_file_prefixes: folder,
    myhostname: 'mx.partner.test',
    mydestination: '',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    alias_maps: '',
    notify_classes: '',
    smtpd_tls_cert_file: tls.cert,
    smtpd_tls_key_file: tls.key,
    smtpd_tls_security_level: 'may',
    smtpd_tls_received_header: 'yes',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    smtp_dns_support_level: 'disabled',
    virtual_mailbox_domains: [...new Set(mailboxes.map(domainOf))].join(' '),
    virtual_mailbox_base: join(folder, 'mail'),
    virtual_mailbox_maps: file(
      'mailboxes',
      table(Object.fromEntries(mailboxes.map((each) => [each, `${each}/`]))),
    ),
    virtual_alias_maps: file('redirected', table(redirected)),
    virtual_uid_maps: `static:${uid}`,
    virtual_gid_maps: `static:${gid}`,
    relay_domains: Object.keys(passedOn).join(' '),
    transport_maps: file(
      'routes',
      table(
        Object.fromEntries(
          Object.entries(passedOn).map(([domain, to]) => [domain, `smtp:[127.0.0.1]:${to}`]),
        ),
      ),
    ),
  };
  writeFileSync(
    join(folder, 'main.cf'),
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  );
  writeFileSync(join(folder, 'master.cf'), services(port));
  const child = spawn('postfix', ['-c', folder, 'start-fg'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  // `postfix start-fg` waits for the master, which ends its children with itself
  const kill = (signal: NodeJS.Signals) => {
    try {
      signalOne(Number(readFileSync(join(folder, 'queue', 'pid', 'master.pid'), 'utf8').trim()), signal);
    } catch {
      child.kill(signal);
    }
  };
  const killAll = () => kill('SIGTERM');
  process.once('exit', killAll);
  child.once('exit', () => process.off('exit', killAll));
  try {
    await reachable(port);
  } catch (error) {
    killAll();
    throw new Error(`${said}\n${logOf(folder)}`, { cause: error });
  }
  return {
    port,
    log: () => logOf(folder),
    mails(address) {
      const box = join(folder, 'mail', address, 'new');
      const files = readdirOrNone(box).map((name) => join(box, name));
      files.sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);
      return files.map((each) =>
        Buffer.from(readFileSync(each, 'latin1').replaceAll('\n', '\r\n'), 'latin1'),
      );
    },
    async stop() {
      killAll();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** As Debian's master.cf, without chroot, and with what these tests need. */
function services(port: number): string {
  const own = [
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'flush unix n - n 1000? 0 flush',
    'showq unix n - n - - showq',
  ];
  const unix = [
    ...[
      'tlsmgr tlsmgr 1',
      'rewrite trivial-rewrite -',
      'bounce bounce 0',
      'defer bounce 0',
      'trace bounce 0',
    ],
    ...[
      'proxymap proxymap -',
      'smtp smtp -',
      'relay smtp -',
      'error error -',
      'retry error -',
      'anvil anvil 1',
    ],
    'scache scache 1',
  ].map((each) => {
    const [name, command, limit] = each.split(' ');
    return `${name} unix - - n - ${limit} ${command}`;
  });
  const lines = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    ...own,
    ...unix,
    'virtual unix - n n - - virtual',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function accountOf(name: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

function readdirOrNone(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function logOf(folder: string): string {
  try {
    return readFileSync(join(folder, 'log'), 'utf8');
  } catch {
    return '';
  }
}
