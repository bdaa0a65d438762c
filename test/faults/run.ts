/** Runs cases and prints the table. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { makeWorld } from '../support/world.ts';
import type { FaultCase, Findings, Run } from './support/case.ts';
import { Rig } from './support/rig.ts';

export interface RunOptions {
  cases: readonly FaultCase[];
  /** Kills of the whole run, shared out among the cases. */
  kills: number;
  short: boolean;
  /** Messages of a flood. */
  messages?: number;
  /** Cases side by side. */
  jobs?: number;
  /** Folder for what the daemons of each case wrote. */
  logs?: string;
  onResult?: (result: CaseResult) => void;
}

export interface CaseResult {
  case: FaultCase;
  seconds: number;
  skipped?: string;
  findings?: Findings;
  failures: string[];
}

export async function runCases({
  cases,
  kills,
  short,
  messages,
  logs,
  jobs = 1,
  onResult,
}: RunOptions): Promise<CaseResult[]> {
  // The machine may have other work, which the tests should not push aside.
  setPriority(10);
  if (logs !== undefined) mkdirSync(logs, { recursive: true });
  const world = makeWorld();
  const shares = cases.reduce((sum, { share = 0 }) => sum + share, 0);
  const results: CaseResult[] = [];
  const left = [...cases];
  const work = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const share = next.share ?? 0;
      const own = share === 0 ? 0 : Math.max(1, Math.ceil((kills * share) / shares));
      const run = { world, short, kills: own, ...(messages === undefined ? {} : { messages }) };
      const result = await runCase(next, run, logs);
      results.push(result);
      onResult?.(result);
    }
  };
  try {
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    world.remove();
  }
  return results.sort((a, b) => cases.indexOf(a.case) - cases.indexOf(b.case));
}

async function runCase(
  fault: FaultCase,
  about: Pick<Run, 'world' | 'short' | 'kills' | 'messages'>,
  logs?: string,
): Promise<CaseResult> {
  const skipped = fault.skip?.();
  if (skipped !== undefined) return { case: fault, seconds: 0, skipped, failures: [] };
  const startedAt = performance.now();
  const cleanup: (() => Promise<unknown> | unknown)[] = [];
  const after: Run['after'] = (work) => void cleanup.unshift(work);
  const rig: Run['rig'] = async (options) => {
    const started = await Rig.start(about.world, {
      // the short form runs beside other tests, where a first connection may take long
      commandTimeout: about.short ? '10s' : '3s',
      ...options,
    });
    let closed: Promise<void> | undefined;
    const close = started.close.bind(started);
    started.close = () => {
      closed ??= close();
      return closed;
    };
    after(async () => {
      await started.close();
      if (logs !== undefined) appendFileSync(join(logs, `${fault.id}.log`), started.daemon.log());
    });
    return started;
  };
  const result: CaseResult = { case: fault, seconds: 0, failures: [] };
  try {
    const findings = await fault.run({ ...about, rig, after });
    const { lost, doubled, disagree } = findings.tally;
    result.findings = findings;
    result.failures.push(...findings.failures);
    for (const [what, ids] of Object.entries({
      lost,
      'delivered under two keys': doubled,
      'without an end': disagree,
    }))
      if (ids.length > 0) result.failures.push(`${ids.length} ${what}: ${ids.slice(0, 5).join(', ')}`);
  } catch (error) {
    result.failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  for (const work of cleanup) {
    try {
      await work();
    } catch (error) {
      result.failures.push(`at the end: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  result.seconds = (performance.now() - startedAt) / 1000;
  return result;
}

const seconds = (ms: number | null) => (ms === null ? '-' : `${(ms / 1000).toFixed(1)} s`);

/** The table, in Markdown. */
export function table(results: readonly CaseResult[]): string {
  const rows = results.map(({ case: { id, title }, findings, skipped, failures }) => {
    if (findings === undefined)
      return [id, title, skipped ? `not run: ${skipped}` : `broke: ${failures[0]?.split('\n')[0]}`];
    const { sent, kills, pause, tally } = findings;
    const counts = [
      kills,
      sent,
      tally.accepted,
      tally.delivered,
      tally.repeated,
      tally.suspended,
      tally.lost.length,
    ];
    return [id, title, ...counts.map(String), seconds(pause), seconds(tally.slowest)];
  });
  const head = 'case|fault|kills|sent|accepted|delivered|repeated|suspended|lost|longest pause|slowest'.split(
    '|',
  );
  const all = [head, head.map((_, index) => (index < 2 ? '---' : '--:')), ...rows];
  const sum = (pick: (findings: Findings) => number) =>
    String(results.reduce((total, { findings }) => total + (findings ? pick(findings) : 0), 0));
  all.push([
    '**all**',
    '',
    sum((f) => f.kills),
    sum((f) => f.sent),
    sum((f) => f.tally.accepted),
    sum((f) => f.tally.delivered),
    sum((f) => f.tally.repeated),
    sum((f) => f.tally.suspended),
    `**${sum((f) => f.tally.lost.length)}**`,
    '',
    '',
  ]);
  return all.map((row) => `| ${row.join(' | ')} |\n`).join('');
}
