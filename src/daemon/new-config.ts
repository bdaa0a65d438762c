/** A changed configuration file, read for a running daemon. */
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type Config, formatProblem, type Problem, refuses, restoreConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { RoleName } from './protocol.ts';

/** Why nothing has changed. */
export function refusal(why: string, cause?: unknown): SealpostError {
  return new SealpostError('reload-refused', `the old configuration stays in force: ${why}`, { cause });
}

/**
 * What `sealpost check` says about the file, as far as it differs from what is in force if that is given, and about
 * what the roles read: a machine need not have the files of others. It reads private keys, so it runs as a separate
 * process: the supervisor never has any keys.
 */
export function checkFile(
  file: string,
  { inForce, roles, checked }: Partial<Pick<Running, 'inForce' | 'checked'>> & Pick<Running, 'roles'>,
): Promise<Problem[]> {
  const main = join(import.meta.dirname, '..', `cli${extname(import.meta.filename)}`);
  const args = [
    '--disable-warning=ExperimentalWarning',
    main,
    'check',
    '--config',
    file,
    '--json',
    ...(inForce === undefined ? [] : ['--in-force', inForce]),
    ...(checked === undefined ? [] : ['--store', checked]),
    '--roles',
    roles.join(','),
  ];
  return new Promise((resolve, reject) => {
    const limits = { maxBuffer: 16 * 1024 * 1024, timeout: patience };
    execFile(process.execPath, args, limits, (error, output, said) => {
      try {
        resolve(JSON.parse(output));
      } catch {
        reject(refusal(said.trim() || 'it could not be checked', error));
      }
    });
  });
}

/** Milliseconds for a check: one that hangs would hold up all further ones. */
const patience = 5 * 60_000;

/** What runs here. */
interface Running {
  /** The file with the old configuration, as roles have it. */
  inForce: string;
  /** Where the new one, as it was checked, is put for a moment. */
  checked: string;
  roles: readonly RoleName[];
}

/** A configuration that can come into force. */
export interface NewConfig {
  config: Config;
  /** Errors that touch only their own, as a partner whose certificate has expired. */
  waits: Problem[];
}

/**
 * The configuration in the file, checked with all files that the roles read. `reload-refused` with all errors of the
 * configuration itself, or if it would move a store that already has messages.
 */
export async function readNewConfig(file: string, old: Config, running: Running): Promise<NewConfig> {
  const { checked } = running;
  await rm(checked, { force: true });
  try {
    const problems = await checkFile(file, running);
    const errors = problems.filter(refuses);
    if (errors.length > 0) throw refusal(errors.map(formatProblem).join('; '));
    // What was checked is what comes into force, even if the files have been changed again since.
    const config = restoreConfig(await readFile(checked, 'utf8'));
    refuseMoved(old, config);
    return { config, waits: problems.filter(({ severity }) => severity === 'error') };
  } finally {
    await rm(checked, { force: true });
  }
}

function refuseMoved(old: Config, config: Config): void {
  const moved = movedStore(old, config);
  if (moved) throw refusal(`${moved} was changed, which needs a restart`);
}

/** The changed setting that would leave existing messages behind; undefined if there is none. */
export function movedStore(old: Config, next: Config): string | undefined {
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  if (differs(old.dataDir, next.dataDir)) return 'dataDir';
  if (differs(old.redis, next.redis)) return 'redis';
  if (differs(old.spool.key, next.spool.key)) return 'spool.key';
  if (differs(old.spool.directory, next.spool.directory)) return 'spool.directory';
  if (differs(old.spool.store, next.spool.store)) return 'spool.store';
  if (differs(old.spool.s3, next.spool.s3)) return 'spool.s3';
  return undefined;
}
