/**
 * The codec against OpenSSL and against the raw limits of this machine, in one run. Each figure is the median of
 * rounds that alternate between the contestants, so that a drift of the machine meets all of them.
 *
 *   npm run bench                    everything
 *   node bench/codec.ts --quick      one short round
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeMaterial, type SizeName } from './material.ts';
import { cipherRate, privateOperations } from './raw.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const rounds = values.quick ? 1 : 3;
const seconds = values.quick ? 0.5 : 2;
const material = makeMaterial();
const { key, cert } = material;

const ciphers = [
  { name: 'AES-256', flag: '-aes256', ours: 'aes-256-cbc', openssl: 'aes-256-cbc' },
  { name: '3DES', flag: '-des3', ours: 'des-ede3-cbc', openssl: 'des-ede3-cbc' },
] as const;
type Cipher = (typeof ciphers)[number];

function median(numbers: number[]): number {
  const sorted = numbers.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** OpenSSL in process: compiled here, where there is a compiler and its headers. */
function compileLoop(): string | undefined {
  const program = join(material.folder, 'openssl-loop');
  const source = join(import.meta.dirname, 'peers', 'openssl-loop.c');
  const { status } = spawnSync('cc', ['-O2', '-o', program, source, '-lcrypto'], { stdio: 'ignore' });
  return status === 0 ? program : undefined;
}

const loop = compileLoop();

function inProcess(what: 'decrypt' | 'signencrypt', file: string, cipher: Cipher): number {
  if (loop === undefined) return Number.NaN;
  return Number(
    execFileSync(loop, [what, key, cert, file, String(seconds), cipher.openssl], { encoding: 'utf8' }),
  );
}

function ours(what: 'decode' | 'encode', file: string, cipher: Cipher): { rate: number; peakMb: number } {
  const worker = join(import.meta.dirname, 'codec-worker.ts');
  const args = ['--openssl-legacy-provider', worker, what, key, cert, file, String(seconds), cipher.ours];
  return JSON.parse(
    execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  );
}

/** `openssl cms`, a process for each message. */
function opensslCommand(args: string[]): number {
  const start = performance.now();
  let count = 0;
  do {
    execFileSync('openssl', args, { stdio: 'ignore' });
    count += 1;
  } while (performance.now() - start < seconds * 1000);
  return (count * 1000) / (performance.now() - start);
}

function opensslSignEncrypt(content: string, cipher: Cipher): number {
  const middle = join(material.folder, 'signed.eml');
  const out = join(material.folder, 'sealed.eml');
  const start = performance.now();
  let count = 0;
  do {
    execFileSync(
      'openssl',
      [
        'cms',
        '-sign',
        '-nodetach',
        '-binary',
        '-stream',
        '-in',
        content,
        '-signer',
        cert,
        '-inkey',
        key,
        '-out',
        middle,
      ],
      { stdio: 'ignore' },
    );
    execFileSync(
      'openssl',
      ['cms', '-encrypt', '-binary', '-stream', '-in', middle, cipher.flag, '-out', out, cert],
      { stdio: 'ignore' },
    );
    count += 1;
  } while (performance.now() - start < seconds * 1000);
  return (count * 1000) / (performance.now() - start);
}

interface Row {
  sealpost: number;
  inProcess: number;
  command: number;
  peakMb: number;
}

function measure(what: 'decode' | 'encode', size: SizeName, cipher: Cipher): Row {
  const found = { sealpost: [] as number[], inProcess: [] as number[], command: [] as number[], peakMb: 0 };
  const encrypted = what === 'decode' ? material.encrypted(size, cipher.flag) : '';
  const content = material.content(size);
  for (let round = 0; round < rounds; round++) {
    progress(`${what} ${size} ${cipher.name}, round ${round + 1}`);
    const own = ours(what, what === 'decode' ? encrypted : content, cipher);
    found.sealpost.push(own.rate);
    found.peakMb = Math.max(found.peakMb, own.peakMb);
    if (what === 'decode') {
      found.inProcess.push(inProcess('decrypt', encrypted, cipher));
      found.command.push(
        opensslCommand([
          'cms',
          '-decrypt',
          '-in',
          encrypted,
          '-recip',
          cert,
          '-inkey',
          key,
          '-out',
          '/dev/null',
        ]),
      );
    } else {
      found.inProcess.push(inProcess('signencrypt', content, cipher));
      found.command.push(opensslSignEncrypt(content, cipher));
    }
  }
  return {
    sealpost: median(found.sealpost),
    inProcess: median(found.inProcess),
    command: median(found.command),
    peakMb: found.peakMb,
  };
}

const head = [
  '',
  'Sealpost',
  'openssl in process',
  'openssl cms',
  'against in process',
  'against openssl cms',
  'peak MB',
];

function cells(label: string, row: Row): string[] {
  return [
    label,
    figure(row.sealpost),
    figure(row.inProcess),
    figure(row.command),
    figure(row.sealpost / row.inProcess),
    figure(row.sealpost / row.command),
    figure(row.peakMb),
  ];
}

try {
  const raw = Array.from({ length: rounds }, () => privateOperations(key, seconds));
  const aes = cipherRate('aes-256-cbc', seconds / 2);
  const des = cipherRate('des-ede3-cbc', seconds / 2);
  printTable(
    'Raw limits of this machine, one core',
    ['RSA-2048 private, operations a second', 'AES-256-CBC decrypt, MB/s', 'encrypt', '3DES decrypt, MB/s'],
    [[figure(median(raw)), figure(aes.decrypt), figure(aes.encrypt), figure(des.decrypt)]],
  );
  for (const what of ['decode', 'encode'] as const) {
    const rows: string[][] = [];
    for (const size of ['10 KB', '1 MB', '25 MB'] as const)
      for (const cipher of ciphers) rows.push(cells(`${size} ${cipher.name}`, measure(what, size, cipher)));
    printTable(
      what === 'decode' ? 'Decode EnvelopedData, messages a second' : 'Sign and encrypt, messages a second',
      head,
      rows,
    );
  }
  const [first] = ciphers;
  const memory = (['1 MB', '25 MB', '100 MB'] as const).map((size) => [
    size,
    figure(ours('decode', material.encrypted(size, first.flag), first).peakMb),
    figure(ours('encode', material.content(size), first).peakMb),
  ]);
  printTable(`Peak memory, ${first.name}, streamed`, ['', 'decode, MB', 'sign and encrypt, MB'], memory);
} finally {
  progress('');
  material.remove();
}
