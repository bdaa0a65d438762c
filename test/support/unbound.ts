/** unbound, a resolver that validates, with zones of our own: signed, unsigned, or changed after signing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDns, type Dns } from '../../src/net/index.ts';
import { freePort, reachable, until } from './net.ts';
import { findProgram, runOk } from './peers/run.ts';

const programs = ['unbound', 'ldns-signzone', 'ldns-keygen'];

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithoutUnbound(): string | false {
  process.env.PATH = `${process.env.PATH}:/usr/sbin`;
  const missing = programs.filter((program) => findProgram(program) === undefined);
  if (missing.length === 0) return false;
  if (process.env.CI === 'true') throw new Error(`${missing.join(', ')}: not installed`);
  return `${missing.join(', ')}: not installed`;
}

export interface Zone {
  name: string;
  /** Lines of a zone file, names relative to the zone. */
  records: string[];
  signed: boolean;
  /** Replaces text of the signed zone, whose signatures then no longer hold. */
  forge?: [from: RegExp, to: string];
}

export interface Unbound {
  port: number;
  /** DNS over TLS; 0 without a certificate. */
  tlsPort: number;
  /** A client of ours. */
  dns(): Dns;
  /** Replaces a zone. What unbound has remembered is gone. */
  set(zone: Zone): Promise<void>;
  stop(): void;
}

export async function startUnbound(zones: Zone[], tls?: { cert: string; key: string }): Promise<Unbound> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-unbound-'));
  const [port, tlsPort] = [await freePort(), tls === undefined ? 0 : await freePort()];
  const keys = new Map<string, string>();
  const file = (name: string) => join(folder, name);
  let serial = 1;

  async function write({ name, records, signed, forge }: Zone): Promise<void> {
    serial += 1;
    const head = [
      `$ORIGIN ${name}.`,
      '$TTL 0',
      `@ IN SOA ns hostmaster ${serial} 3600 600 86400 0`,
      '@ IN NS ns',
    ];
    writeFileSync(file(`${name}.zone`), `${[...head, 'ns IN A 127.0.0.1', ...records].join('\n')}\n`);
    if (!signed) return;
    const key = keys.get(name) ?? '';
    await runOk('ldns-signzone', ['-f', `${name}.signed`, `${name}.zone`, key], { cwd: folder });
    const text = readFileSync(file(`${name}.signed`), 'utf8');
    writeFileSync(file(`${name}.zone`), forge === undefined ? text : text.replaceAll(forge[0], forge[1]));
  }

  for (const { name, signed } of zones) {
    if (!signed) continue;
    const made = await runOk('ldns-keygen', ['-k', '-a', 'ECDSAP256SHA256', name], { cwd: folder });
    keys.set(name, made.toString().trim());
  }
  for (const zone of zones) await write(zone);
  const lines = [
    'server:',
    `  interface: 127.0.0.1@${port}`,
    ...(tls ? [`  interface: 127.0.0.1@${tlsPort}`, `  tls-port: ${tlsPort}`] : []),
    ...(tls ? [`  tls-service-pem: "${tls.cert}"`, `  tls-service-key: "${tls.key}"`] : []),
    '  username: ""',
    '  chroot: ""',
    `  directory: "${folder}"`,
    '  pidfile: ""',
    '  use-syslog: no',
    '  logfile: ""',
    '  do-daemonize: no',
    '  num-threads: 1',
    '  module-config: "validator iterator"',
    ...zones.map(({ name }) => `  local-zone: "${name.split('.').at(-1)}." nodefault`),
    ...[...keys.values()].map((key) => `  trust-anchor-file: "${file(`${key}.key`)}"`),
    'remote-control:',
    '  control-enable: no',
    ...zones.flatMap(({ name }) => [
      'auth-zone:',
      `  name: "${name}."`,
      `  zonefile: "${file(`${name}.zone`)}"`,
      '  for-downstream: no',
      '  for-upstream: yes',
      '  fallback-enabled: no',
    ]),
  ];
  writeFileSync(file('unbound.conf'), `${lines.join('\n')}\n`);
  const child = spawn('unbound', ['-d', '-c', file('unbound.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let printed = '';
  child.stderr.on('data', (chunk) => {
    printed += chunk;
  });
  child.on('exit', (code) => {
    if (code) console.error(printed);
  });
  await reachable(port);
  const clients: Dns[] = [];
  const serialOf = async (zone: string) => {
    const dns = createDns({ address: '127.0.0.1', port, tls: false });
    const { records } = await dns.lookup(`serial.${zone}`, 'TXT');
    return records.map(({ data }) => String(data)).join();
  };
  return {
    port,
    tlsPort,
    dns() {
      const dns = createDns({ address: '127.0.0.1', port, tls: false });
      clients.push(dns);
      return dns;
    },
    async set(zone) {
      const mark = `${serial}`;
      await write({ ...zone, records: [...zone.records, `serial IN TXT "${mark}"`] });
      child.kill('SIGHUP');
      await until('the zone is read', async () => (await serialOf(zone.name).catch(() => '')) === mark);
    },
    stop() {
      for (const dns of clients) dns.close();
      child.kill('SIGKILL');
      void once(child, 'exit').then(() => rmSync(folder, { recursive: true, force: true }));
    },
  };
}
