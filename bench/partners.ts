/**
 * 10,000 partners with three certificates each, in files: how long a start takes when all files are new and when none
 * has changed, how long a reload of one changed partner takes, what a role needs more than with ten partners, and what
 * it costs to find out whose a message is. The daemon is the real one, with its own redis-server.
 *
 *   node bench/partners.ts [--partners 10000] [--program bin/sealpost of another checkout or package]
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { indexCertificates, loadConfig, loadKeys, restoreConfig, storeConfig } from '../src/config/index.ts';
import { parseHeaders, readMailHeader } from '../src/message/index.ts';
import { PartnerDirectory, pinsOf, senderOf } from '../src/partner/index.ts';
import { createTestCa } from '../test/support/ca.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    partners: { type: 'string', default: '10000' },
    program: { type: 'string', default: join(import.meta.dirname, '../bin/sealpost') },
    role: { type: 'string' },
  },
});

/** What a role does with its partners, and what it then needs. */
async function beRole(stored: string): Promise<void> {
  const began = process.cpuUsage();
  const config = restoreConfig(readFileSync(stored, 'utf8'));
  const keys = await loadKeys(config);
  const directory = new PartnerDirectory(config.partners, keys.partners);
  const pins = pinsOf(keys.partners.values());
  const now = new Date();
  const { user, system } = process.cpuUsage(began);
  // one of them, so that everything is there that is made at first use
  const last = config.partners.at(-1);
  const [one] = keys.partners.get(last?.name ?? '') ?? [];
  if (last === undefined || one === undefined) throw new Error('no partner');
  const signers = [{ thumbprint: one.thumbprint, emails: [], valid: true, trusted: true }];
  const header = parseHeaders(Buffer.from(`From: <${last.addresses[0]}>\r\n\r\n`));
  const from = readMailHeader(header).authors;
  const resolve = () => {
    const sender = senderOf(directory, from, signers);
    if (sender.partner !== last || !pins(now).has(one.certificate)) throw new Error('not found');
  };
  for (let at = 0; at < 10_000; at++) resolve();
  const first = process.cpuUsage();
  const rounds = 50_000;
  for (let at = 0; at < rounds; at++) resolve();
  const spent = process.cpuUsage(first);
  globalThis.gc?.();
  await sleep(100);
  globalThis.gc?.();
  process.send?.({
    cpu: (user + system) / 1000,
    resolve: ((spent.user + spent.system) * 1000) / rounds,
    rss: process.memoryUsage.rss() / 1e6,
    heap: process.memoryUsage().heapUsed / 1e6,
  });
}

interface Figures {
  cpu: number;
  resolve: number;
  rss: number;
  heap: number;
}

function roleWith(stored: string): Promise<Figures> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--role', stored], { execArgv: ['--expose-gc'] });
    child.once('message', (figures: Figures) => resolve(figures));
    child.once('error', reject);
    child.once('exit', (code) => code && reject(new Error(`role: ${code}`)));
  });
}

/** Certificates as an authority issues them, but for their signature, which nothing here checks. */
function certificateMaker(): (partner: number, which: number) => string {
  const digits = '0000000';
  const ca = createTestCa('Bench CA');
  const { certificate } = ca.issue({
    commonName: `EDI ${digits}`,
    email: `edi@p${digits}.example`,
    key: 'rsa2048',
    notAfter: new Date(Date.now() + 400 * 86_400_000),
  });
  const template = certificate.der;
  const modulus = template.indexOf(certificate.publicKeyInfo.key) + 40;
  const serial = template.indexOf(certificate.serialNumber);
  const [first, second] = [template.indexOf(digits), template.lastIndexOf(digits)];
  return (partner, which) => {
    const der = Buffer.from(template);
    const number = String(partner * 10 + which).padStart(7, '0');
    const host = String(partner).padStart(7, '0');
    der.write(number, first, 'latin1');
    der.write(host, second, 'latin1');
    randomBytes(8).copy(der, serial + 1);
    randomBytes(64).copy(der, modulus);
    const base64 = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
  };
}

/** A folder with a configuration and as many partners, all written a while ago. */
function makeFolder(partners: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-partners-'));
  const certs = join(folder, 'partners/certs');
  mkdirSync(certs, { recursive: true });
  const own = createTestCa('Own').issue({ commonName: 'own', email: 'orders@own.example', key: 'rsa2048' });
  writeFileSync(join(folder, 'own.pem'), own.certPem);
  writeFileSync(join(folder, 'own.key'), own.keyPem, { mode: 0o600 });
  writeFileSync(
    join(folder, 'sealpost.yaml'),
    [
      'dataDir: data',
      'smtp: { listen: [{ port: 0 }], hostname: own.example }',
      'identities: [{ name: own, certificate: own.pem, key: own.key }]',
      'mailboxes:',
      '  - { name: orders, addresses: [orders@own.example], destinations: [{ type: directory, path: inbox }] }',
      'workers: { decrypt: 1, outbound: 1, drainTimeout: 5s }',
      '',
    ].join('\n'),
  );
  const old = new Date(Date.now() - 3600_000);
  const write = (path: string, text: string) => {
    writeFileSync(path, text);
    utimesSync(path, old, old);
  };
  const certificateOf = certificateMaker();
  for (let at = 0; at < partners; at++) {
    const name = `p${String(at).padStart(7, '0')}`;
    const files = [0, 1, 2].map((which) => {
      write(join(certs, `${name}-${which}.pem`), certificateOf(at, which));
      return `  - certs/${name}-${which}.pem`;
    });
    write(join(folder, 'partners', `${name}.yaml`), partnerText(name, files));
    if (at % 500 === 0) progress(`${at} partners written`);
  }
  progress('');
  return folder;
}

const partnerText = (name: string, files: readonly string[]) =>
  [
    `name: ${name}`,
    'addresses:',
    `  - edi@${name}.example`,
    `  - "@mail.${name}.example"`,
    'certificates:',
    ...files,
    'identity: own',
    'require: [signed]',
    'from: orders@own.example',
    'route:',
    `  host: mail.${name}.example`,
    '',
  ].join('\n');

interface Running {
  daemon: ChildProcess;
  /** Seconds until every role was ready. */
  seconds: number;
  pids: { role: string; pid: number }[];
}

function start(folder: string): Promise<Running> {
  const began = performance.now();
  const daemon = spawn(values.program, ['start', '--config', join(folder, 'sealpost.yaml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  return new Promise((resolve, reject) => {
    daemon.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      const line = log.split('\n').find((each) => each.includes('"msg":"running"'));
      if (line === undefined) return;
      const { pids }: { pids: Running['pids'] } = JSON.parse(line);
      resolve({ daemon, seconds: (performance.now() - began) / 1000, pids });
    });
    daemon.once('exit', () => reject(new Error(log)));
  });
}

async function stop({ daemon }: Running): Promise<void> {
  const ended = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  await ended;
}

/** Seconds. */
async function reload(folder: string): Promise<number> {
  const began = performance.now();
  const ran = spawn(values.program, ['reload', '--config', join(folder, 'sealpost.yaml')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [ran.stdout, ran.stderr])
    stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await new Promise((resolve) => ran.once('exit', resolve));
  if (code !== 0) throw new Error(said);
  return (performance.now() - began) / 1000;
}

/** Resident memory of each role in megabytes. */
const memoryOf = ({ pids }: Running) =>
  new Map(
    pids.map(({ role, pid }) => {
      const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
      return [role, (Number(kib) * 1024) / 1e6];
    }),
  );

async function run(partners: number): Promise<void> {
  const folder = makeFolder(partners);
  const few = makeFolder(10);
  const rows: string[][] = [];
  try {
    const small = await start(few);
    await sleep(1000);
    const before = memoryOf(small);
    await stop(small);

    const cold = await start(folder);
    await sleep(1000);
    await stop(cold);
    rows.push(['start, all files new', `${figure(cold.seconds)} s`, '15 s']);
    const warm = await start(folder);
    await sleep(1000);
    const after = memoryOf(warm);
    rows.push(['start, no file changed', `${figure(warm.seconds)} s`, '3 s']);

    const name = `p${String(partners - 1).padStart(7, '0')}`;
    const changed = join(folder, 'partners', `${name}.yaml`);
    const times: number[] = [];
    const text = readFileSync(changed, 'utf8');
    for (let at = 0; at < 3; at++) {
      writeFileSync(changed, `${text}formerNames: [old-${at}]\n`);
      times.push(await reload(folder));
    }
    rows.push(['reload, one partner changed, three times', `${times.map(figure).join(', ')} s`, '5 s']);
    await stop(warm);
    for (const [role, memory] of after)
      rows.push([
        `memory of ${role}, more than with 10`,
        `${figure(memory - (before.get(role) ?? 0))} MB`,
        '60 MB',
      ]);

    const store = async (of: string) => {
      const config = await loadConfig(join(of, 'sealpost.yaml'));
      const stored = join(of, 'stored.json');
      const index = join(of, 'stored.certificates');
      await indexCertificates(config, index);
      writeFileSync(stored, storeConfig(config, index));
      return await roleWith(stored);
    };
    const [ten, all] = [await store(few), await store(folder)];
    rows.push(['heap of partners and certificates', `${figure(all.heap - ten.heap)} MB`, '']);
    rows.push(['processor time of a role for them', `${figure(all.cpu)} ms`, '']);
    rows.push(['to resolve a sender, with 10', `${figure(ten.resolve)} ns`, '']);
    rows.push([
      `to resolve a sender, with ${partners.toLocaleString('en-US')}`,
      `${figure(all.resolve)} ns`,
      'the same',
    ]);
    printTable(
      `${partners.toLocaleString('en-US')} partners with 3 certificates each`,
      ['', 'measured', 'goal'],
      rows,
    );
  } finally {
    for (const each of [folder, few]) rmSync(each, { recursive: true, force: true });
  }
}

if (values.role === undefined) await run(Number(values.partners));
else await beRole(values.role);
