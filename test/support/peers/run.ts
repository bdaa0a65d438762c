/** Runs a program of a peer and collects what it prints. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { PeerError } from './types.ts';

export interface Ran {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

export interface RunOptions {
  input?: Buffer | string;
  env?: Record<string, string>;
  cwd?: string;
  /** Milliseconds until the program is killed; two minutes, which also a busy machine keeps. */
  timeout?: number;
}

/** Path of a program, by its name or its path; undefined if it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = isAbsolute(name) ? ['/'] : (process.env.PATH ?? '').split(delimiter);
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

export function run(program: string, args: string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeout ?? 120_000,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => {}); // it may end before it has read all
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }),
    );
    child.stdin.end(options.input ?? '');
  });
}

/** As `run`, but a failure is a PeerError with the most informative line of standard error. */
export async function runOk(program: string, args: string[], options: RunOptions = {}): Promise<Buffer> {
  const ran = await run(program, args, options);
  if (ran.code !== 0) throw new PeerError(lastLine(ran.stderr) || `${program} ended with ${ran.code}`);
  return ran.stdout;
}

/** The last line that a program said, without error numbers and source places. */
export function lastLine(text: string): string {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.replace(/^[0-9A-F]+:error:[0-9A-F]+:/, '').replace(/:\.\.\/\S+?:\d+:/, ' '))
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '');
  return (lines.at(-1) ?? '').slice(0, 160);
}
