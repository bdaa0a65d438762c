/** slapd, OpenLDAP's server, with entries of our own, on a port with TLS and one with StartTLS. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, reachable } from './net.ts';
import { findProgram, runOk } from './peers/run.ts';
import { makeTlsFiles, type TlsFiles } from './tls.ts';

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithoutSlapd(): string | false {
  process.env.PATH = `${process.env.PATH}:/usr/sbin`;
  if (findProgram('slapd') !== undefined) return false;
  if (process.env.CI === 'true') throw new Error('slapd: not installed');
  return 'slapd: not installed';
}

export interface Entry {
  name: string;
  mail: string;
  /** DER. */
  certificates?: Buffer[];
  /** Values of userSMIMECertificate: SignedData. */
  smime?: Buffer[];
  /** URL of another server that has it, in place of the rest. */
  referral?: string;
}

export interface Slapd {
  url: string;
  startTlsUrl: string;
  base: string;
  user: string;
  password: string;
  tls: TlsFiles;
  stop(): Promise<void>;
}

const base = 'dc=partners,dc=test';
const user = `cn=reader,${base}`;
const password = 'only for tests';

export async function startSlapd(entries: Entry[], { anonymous = true } = {}): Promise<Slapd> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-slapd-'));
  const file = (name: string) => join(folder, name);
  const tls = await makeTlsFiles('DNS:ldap.test,IP:127.0.0.1');
  mkdirSync(file('data'));
  const conf = [
    ...['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`),
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    `pidfile ${file('pid')}`,
    `TLSCertificateFile ${tls.cert}`,
    `TLSCertificateKeyFile ${tls.key}`,
    ...(anonymous ? [] : ['disallow bind_anon', 'require authc']),
    'database mdb',
    'maxsize 16777216',
    `suffix "${base}"`,
    `rootdn "${user}"`,
    `rootpw "${password}"`,
    `directory ${file('data')}`,
  ];
  writeFileSync(file('slapd.conf'), `${conf.join('\n')}\n`, { mode: 0o600 });
  writeFileSync(file('data.ldif'), ldifOf(entries));
  await runOk('slapadd', ['-f', file('slapd.conf'), '-l', file('data.ldif')]);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const urls = `ldap://127.0.0.1:${port}/ ldaps://127.0.0.1:${tlsPort}/`;
  const child = spawn('slapd', ['-f', file('slapd.conf'), '-h', urls, '-d', '0'], { stdio: 'ignore' });
  await Promise.all([reachable(port), reachable(tlsPort)]);
  return {
    url: `ldaps://127.0.0.1:${tlsPort}`,
    startTlsUrl: `ldap://127.0.0.1:${port}`,
    ...{ base, user, password, tls },
    async stop() {
      await stopped(child);
      tls.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill();
  await once(child, 'exit');
}

function ldifOf(entries: Entry[]): string {
  const top = [
    `dn: ${base}`,
    'objectClass: dcObject',
    'objectClass: organization',
    'o: test',
    'dc: partners',
  ];
  const people = entries.map(({ name, mail, certificates = [], smime = [], referral }) =>
    referral === undefined
      ? [
          `dn: cn=${name},${base}`,
          ...['objectClass: inetOrgPerson', `cn: ${name}`, `sn: ${name}`],
          `mail:: ${Buffer.from(mail).toString('base64')}`,
          ...certificates.map((der) => `userCertificate;binary:: ${der.toString('base64')}`),
          ...smime.map((der) => `userSMIMECertificate:: ${der.toString('base64')}`),
        ]
      : [
          `dn: cn=${name},${base}`,
          ...['objectClass: referral', 'objectClass: extensibleObject', `cn: ${name}`, `ref: ${referral}`],
        ],
  );
  return [top, ...people].map((lines) => `${lines.join('\n')}\n`).join('\n');
}
