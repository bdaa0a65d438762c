/** A time of day for child processes that a test sets while they run (clock.c); their monotonic clock is left alone. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;

/** For `skip` of a test: CI has a C compiler, and fails without one. */
export const skipWithoutClock =
  (process.platform === 'linux' && hasCompiler) || process.env.CI === 'true'
    ? false
    : 'needs Linux and a C compiler (cc) for test/support/clock.c';

export interface FakeClock {
  /** Environment of a process that has this clock, and of its children. */
  env: Record<string, string>;
  /** Seconds that the clock is ahead of the real one. */
  set(seconds: number): void;
}

/** Moves the time of day of this process: `set` as that of a fake clock; `restore` ends it. */
export function movedDate(): { set(seconds: number): void; restore(): void } {
  const Real = globalThis.Date;
  let ahead = 0;
  const now = () => Real.now() + ahead * 1000;
  globalThis.Date = new Proxy(Real, {
    construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [now()] : args, made),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });
  return {
    set(seconds) {
      ahead = seconds;
    },
    restore() {
      globalThis.Date = Real;
    },
  };
}

/** Makes a clock in a folder; `seconds` ahead of the real one to begin with. */
export function fakeClock(folder: string, seconds = 0): FakeClock {
  const library = join(folder, 'clock.so');
  const source = join(import.meta.dirname, 'clock.c');
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source]);
  if (status !== 0) throw new Error(`clock.c: ${stderr}`);
  const file = join(folder, `clock${process.hrtime.bigint()}`);
  const octets = (ahead: number) => {
    const value = Buffer.alloc(8);
    value.writeBigInt64LE(BigInt(Math.round(ahead)));
    return value;
  };
  writeFileSync(file, octets(seconds));
  const set = (ahead: number) => {
    const open = openSync(file, 'r+');
    writeSync(open, octets(ahead), 0, 8, 0);
    closeSync(open);
  };
  return { env: { LD_PRELOAD: library, CLOCK_FILE: file, SEALPOST_PASS_ENV: 'CLOCK_FILE' }, set };
}
