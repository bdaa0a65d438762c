/**
 * The codec against other implementations and against the raw limits of this machine, in one run. Each
 * figure is the median of rounds that alternate between the contestants, so that a drift of the machine
 * meets all of them.
 *
 *   npm run bench                                  everything
 *   node bench/codec.ts --quick                    one short round
 *   node bench/codec.ts --only 'decode 10 KB'      the rows and tables whose names match (a regular expression)
 *   node bench/codec.ts --rounds 5 --seconds 2
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { makeMaterial, type SizeName } from './material.ts';
import { bouncyCastle } from './peers/bouncy-castle.ts';
import { nodeForge, pkijs } from './peers/javascript.ts';
import { opensslCms, opensslCommands, opensslInProcess } from './peers/openssl.ts';
import { Parties } from './peers/parties.ts';
import { compiledWorker, runWorker, sealpost } from './peers/sealpost.ts';
import { type Contestant, ciphers, type Rate, type Row, type Task } from './peers/types.ts';
import { againstRaw, cipherRate, privateOperations } from './raw.ts';
import { figure, median, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const seconds = Number(values.seconds ?? (values.quick ? 0.4 : 1.5));
const only = new RegExp(values.only, 'i');
const titles = {
  decode: 'Decode EnvelopedData, messages a second',
  encode: 'Sign with RSA-2048 and encrypt, messages a second',
};

function rowsOf(task: Task): Row[] {
  const rows: Row[] = [];
  for (const size of ['10 KB', '1 MB', '25 MB'] as const) {
    for (const cipher of [ciphers.aes, ciphers.gcm, ciphers.des3])
      rows.push({ task, size, cipher, recipient: 'rsa-2048' });
  }
  for (const recipient of ['dh-x942', 'ec-p256'] as const)
    rows.push({ task, size: '10 KB', cipher: ciphers.aes, recipient });
  for (const cipher of [ciphers.rc2, ciphers.des])
    rows.push({ task, size: '1 MB', cipher, recipient: 'rsa-2048' });
  if (task === 'encode') {
    for (const cipher of [ciphers.aes, ciphers.des3, ciphers.rc2, ciphers.des])
      rows.push({ task, size: '1 MB', cipher, recipient: 'rsa-2048', inner: 'binary' });
  }
  return rows.filter((row) => only.test(`${task} ${labelOf(row)}`));
}

function labelOf({ size, cipher, recipient, inner }: Row): string {
  const key = { 'rsa-2048': 'RSA-2048', 'dh-x942': 'DH (X9.42) 2048', 'ec-p256': 'P-256' }[recipient];
  return `${size} ${key} ${cipher.name}${inner === undefined ? '' : `, ${inner} inside`}`;
}

async function attempt(contestant: Contestant, row: Row): Promise<Rate | undefined> {
  try {
    const found = await contestant.run(row, seconds);
    return found !== undefined && Number.isFinite(found.rate) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Rates by contestant. Who could not do it once is not asked again. */
async function measure(row: Row, contestants: readonly Contestant[]): Promise<Rate[][]> {
  const found = contestants.map((): Rate[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contestant] of contestants.entries()) {
      const list = found[index] ?? [];
      if (list.length < round) continue;
      progress(`${row.task} ${labelOf(row)}, round ${round + 1}, ${contestant.name}`);
      const rate = await attempt(contestant, row);
      if (rate !== undefined) list.push(rate);
    }
  }
  return found;
}

async function compare(task: Task, contestants: readonly Contestant[]): Promise<void> {
  const rows = rowsOf(task);
  if (rows.length === 0) return;
  const [, ...others] = contestants;
  const ratios = others.map(({ name }) => `/ ${name}`);
  const measured = contestants
    .map(({ name }, index) => ({ name, index }))
    .filter(({ name }) => name === 'openssl in process' || name === 'Bouncy Castle');
  const byCpu = measured.map(({ name }) => `/ ${name}, processor time`);
  const lines: string[][] = [];
  for (const row of rows) {
    const found = await measure(row, contestants);
    const rates = found.map((list) => median(list.map(({ rate }) => rate)));
    const [own = Number.NaN, ...theirs] = rates;
    const cpu = found.map((list) => median(list.map(({ cpuRate }) => cpuRate ?? Number.NaN)));
    const cells = [
      ...rates,
      ...theirs.map((rate) => own / rate),
      ...measured.map(({ index }) => (cpu[0] ?? Number.NaN) / (cpu[index] ?? Number.NaN)),
    ];
    lines.push([labelOf(row), ...cells.map(figure)]);
  }
  printTable(titles[task], ['', ...contestants.map(({ name }) => name), ...ratios, ...byCpu], lines);
}

const encrypted: Row = { task: 'decode', size: '10 KB', cipher: ciphers.aes, recipient: 'rsa-2048' };

/** How near decoding comes to the private key alone: blocks of both, alternating in one process. */
function rawLimits(parties: Parties): void {
  if (!only.test('raw limits')) return;
  const { keyFile, certFile } = parties.signer;
  const operations = median(Array.from({ length: rounds }, () => privateOperations(keyFile, seconds / 2)));
  const aes = cipherRate('aes-256-cbc', seconds / 2);
  const des = cipherRate('des-ede3-cbc', seconds / 2);
  const near = againstRaw(keyFile, certFile, parties.input(encrypted), rounds * 8);
  printTable(
    'Raw limits of this machine, one core',
    [
      'RSA-2048 private, a second',
      'AES-256-CBC decrypt, MB/s',
      'encrypt',
      '3DES decrypt, MB/s',
      'decode of 10 KB / RSA private',
      'by processor time',
    ],
    [[operations, aes.decrypt, aes.encrypt, des.decrypt, near.wall, near.cpu].map(figure)],
  );
}

async function twoProcesses(parties: Parties): Promise<void> {
  if (!only.test('two processes')) return;
  const run = async () => (await runWorker(parties, encrypted, parties.input(encrypted), seconds)).rate;
  const one: number[] = [];
  const two: number[] = [];
  for (let round = 0; round < rounds + 2; round++) {
    progress(`two processes, round ${round + 1}`);
    one.push(await run());
    const [first, second] = await Promise.all([run(), run()]);
    two.push(first + second);
  }
  const cells = [
    median(one),
    median(two),
    median(two.map((rate, index) => rate / (one[index] ?? Number.NaN))),
  ];
  printTable('Decode 10 KB, messages a second', ['one process', 'two', 'two / one'], [cells.map(figure)]);
}

async function digests(parties: Parties): Promise<void> {
  if (!only.test('digest')) return;
  const rows: string[][] = [];
  for (const size of ['10 KB', '25 MB'] as const) {
    const row = { ...encrypted, size };
    const without = await runWorker(parties, row, parties.input(row), seconds);
    const withDigest = await runWorker(parties, row, parties.input(row), seconds, { flags: ['--digest'] });
    rows.push([size, ...[without.rate, withDigest.rate].map(figure)]);
  }
  printTable(
    "Decode with the content's SHA-256 in the verdict, messages a second",
    ['', 'without', 'with'],
    rows,
  );
}

/** Peak memory of one command, where GNU time is installed. */
function commandPeak(args: string[]): number {
  const { stderr, status } = spawnSync('/usr/bin/time', ['-f', '%M', 'openssl', ...args], {
    encoding: 'utf8',
  });
  return status === 0 ? Number(stderr.trim().split('\n').at(-1)) / 1024 : Number.NaN;
}

async function memory(parties: Parties): Promise<void> {
  if (!only.test('peak memory')) return;
  const worker = compiledWorker();
  const sizes: SizeName[] = ['1 MB', '25 MB', '100 MB'];
  const rows: string[][] = [];
  for (const size of sizes) {
    progress(`peak memory, ${size}`);
    const cells: number[] = [];
    for (const task of ['decode', 'encode'] as const) {
      const row = { ...encrypted, task, size };
      cells.push((await runWorker(parties, row, parties.input(row), 0, { worker })).peakMb);
      cells.push(Math.max(...opensslCommands(parties, row).map(commandPeak)));
    }
    rows.push([size, ...cells.map(figure)]);
  }
  const head = ['', 'decode, MB', 'openssl cms', 'sign and encrypt, MB', 'openssl cms'];
  printTable('Peak memory, AES-256-CBC, streamed, the codec compiled', head, rows);
}

const material = makeMaterial();
const started: Contestant[] = [];
try {
  const parties = await Parties.make(material);
  const possible = [
    sealpost(parties),
    opensslInProcess(parties),
    opensslCms(parties),
    await bouncyCastle(parties),
    pkijs(parties),
    nodeForge(parties),
  ];
  started.push(...possible.filter((each) => each !== undefined));
  const names = started.map(({ name }) => name);
  if (!names.includes('Bouncy Castle'))
    process.stdout.write('java, javac or libbcmail-java is not installed\n');
  if (!names.includes('openssl in process'))
    process.stdout.write('no C compiler, or no headers of OpenSSL\n');
  const load = () =>
    loadavg()
      .map((value) => value.toFixed(1))
      .join(', ');
  process.stdout.write(
    `${rounds} rounds of ${seconds} s; ${availableParallelism()} cores; load ${load()} at the start\n`,
  );
  rawLimits(parties);
  await compare('decode', started);
  await compare('encode', started);
  await twoProcesses(parties);
  await digests(parties);
  await memory(parties);
  process.stdout.write(
    `\npkijs and node-forge work on bare DER, without MIME or base64. Load ${load()} at the end.\n`,
  );
} finally {
  progress('');
  for (const { close } of started) await close?.();
  material.remove();
}
