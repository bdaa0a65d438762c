/** Postfix's test programs: smtp-source as a sender, smtp-sink as a server that keeps what it gets. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, reachable } from './net.ts';
import { findProgram, runOk } from './peers/run.ts';

const path = `${process.env.PATH}:/usr/sbin`;

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithoutPostfix(): string | false {
  process.env.PATH = path;
  if (findProgram('smtp-source') && findProgram('smtp-sink')) return false;
  if (process.env.CI === 'true') throw new Error('smtp-source and smtp-sink (postfix) are not installed');
  return 'smtp-source and smtp-sink (postfix) are not installed';
}

/** Sends messages; fails when the server refuses one. */
export async function smtpSource(port: number, args: string[]): Promise<void> {
  await runOk('/usr/sbin/smtp-source', [...args, `127.0.0.1:${port}`], { timeout: 60_000 });
}

export interface Sink {
  port: number;
  /** What it got so far: the octets of each DATA, dots unstuffed. */
  messages(): Promise<Buffer[]>;
  stop(): Promise<void>;
}

/** Starts smtp-sink with the given options and those that keep each message in a file. */
export async function startSink(options: string[] = []): Promise<Sink> {
  const folder = await mkdtemp(join(tmpdir(), 'sealpost-sink-'));
  const port = await freePort();
  const child: ChildProcess = spawn(
    '/usr/sbin/smtp-sink',
    ['-u', 'root', '-d', join(folder, '%M.'), ...options, `127.0.0.1:${port}`, '100'].slice(
      process.getuid?.() === 0 ? 0 : 2,
    ),
    { cwd: folder, stdio: 'ignore' },
  );
  await reachable(port);
  return {
    port,
    async messages() {
      const files = (await readdir(folder)).sort();
      return Promise.all(files.map(async (file) => withoutSinkHeader(await readFile(join(folder, file)))));
    },
    async stop() {
      child.kill('SIGKILL');
      await sleep(10);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** smtp-sink writes lines of its own (X-Client-Addr ... and a Received field) before the octets, all with LF. */
function withoutSinkHeader(file: Buffer): Buffer {
  const text = file.toString('latin1');
  const received = /^Received: [^\n]*\n(?:[ \t][^\n]*\n)*/m.exec(text);
  const body = received === null ? text : text.slice(received.index + received[0].length);
  return Buffer.from(body, 'latin1');
}
