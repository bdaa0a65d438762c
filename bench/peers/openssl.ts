import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Parties } from './parties.ts';
import { type Contestant, capSeconds, type Rate, type Row } from './types.ts';

const run = promisify(execFile);

/** OpenSSL in process: compiled here, where there is a compiler and its headers. */
export function opensslInProcess(parties: Parties): Contestant | undefined {
  const program = join(parties.material.folder, 'openssl-loop');
  const source = join(import.meta.dirname, 'openssl-loop.c');
  const { status } = spawnSync('cc', ['-O2', '-o', program, source, '-lcrypto'], { stdio: 'ignore' });
  if (status !== 0) return undefined;
  return {
    name: 'openssl in process',
    async run(row, seconds) {
      const { signer } = parties;
      const recipient = parties.of(row.recipient);
      const who = row.task === 'decode' ? recipient : signer;
      const what = row.task === 'decode' ? 'decrypt' : 'signencrypt';
      const args = [what, who.keyFile, who.certFile, parties.input(row), String(seconds)];
      const more = [row.cipher.openssl, recipient.certFile, ...(row.inner === undefined ? [] : [row.inner])];
      const { stdout } = await run(program, [...args, ...more]);
      const [rate = Number.NaN, cpuRate = Number.NaN] = stdout.split(' ').map(Number);
      return { rate, cpuRate };
    },
  };
}

const providers = ['-provider', 'legacy', '-provider', 'default'];

/** The commands of `openssl cms` that one message takes. */
export function opensslCommands(parties: Parties, row: Row): string[][] {
  const { signer, material } = parties;
  const { certFile, keyFile } = parties.of(row.recipient);
  const input = parties.input(row);
  if (row.task === 'decode') {
    return [
      [
        'cms',
        '-decrypt',
        ...providers,
        '-in',
        input,
        '-recip',
        certFile,
        '-inkey',
        keyFile,
        '-out',
        '/dev/null',
      ],
    ];
  }
  const middle = join(material.folder, 'signed.eml');
  const own = ['-signer', signer.certFile, '-inkey', signer.keyFile];
  return [
    ['cms', '-sign', '-nodetach', '-binary', '-stream', '-in', input, ...own, '-out', middle],
    [
      'cms',
      '-encrypt',
      ...providers,
      '-binary',
      '-stream',
      '-in',
      middle,
      row.cipher.flag,
      '-out',
      '/dev/null',
      certFile,
    ],
  ];
}

/** `openssl cms`, a process for each step of each message. */
export function opensslCms(parties: Parties): Contestant {
  return {
    name: 'openssl cms',
    async run(row, seconds): Promise<Rate | undefined> {
      if (row.inner !== undefined) return undefined;
      const start = performance.now();
      const commands = opensslCommands(parties, row);
      let count = 0;
      do {
        for (const args of commands) await run('openssl', args, { timeout: capSeconds * 1000 });
        count += 1;
      } while (performance.now() - start < seconds * 1000);
      return { rate: (count * 1000) / (performance.now() - start) };
    },
  };
}
