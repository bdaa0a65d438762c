/**
 * Runs the commands of a document of ours: those of `console` blocks, whose output is compared, and those of other
 * blocks, which must succeed. None is left out without the test that runs it instead.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { blocksOf, sessionsOf, settled, wordsOf } from './doc-blocks.ts';
import type { Ran } from './peers/run.ts';

export interface DocRun {
  /** Of the words of a command, without `sealpost`. Undefined: it prints nothing, and has been dealt with. */
  run(words: string[], place: string): Promise<Pick<Ran, 'code' | 'stdout' | 'stderr'> | undefined>;
  /** The same text for every run, where `settled` does not make it so. */
  alike?(text: string): string;
  /** Beginnings of commands that another test runs: which file below `test/`. */
  elsewhere?: Record<string, string>;
}

/** Commands of a block without output, each on one line; what a shell does with the output is left out. */
export function plainCommands(lines: readonly string[]): string[] {
  return lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) =>
      line.replace(/^docker compose (?:run --rm (?:--volume \S+ )?cli|exec \w+ sealpost) /, 'sealpost '),
    )
    .flatMap((line) => /^(?:source <\()?sealpost (.*)$/.exec(line)?.[1] ?? [])
    .map((line) => line.split(/ +# | \| | >|\) *$|\) +#/)[0]?.trim() ?? '');
}

/** How many commands were run. @param file from the top folder of the project */
export async function runDocument(
  file: string,
  { run, alike = (text) => text, elsewhere = {} }: DocRun,
): Promise<number> {
  let count = 0;
  const unused = new Set(Object.keys(elsewhere));
  const isElsewhere = (line: string) => {
    const found = Object.keys(elsewhere).filter((start) => `${line} `.startsWith(`${start} `));
    for (const start of found) unused.delete(start);
    return found.length > 0;
  };
  for (const block of blocksOf(file)) {
    if (block.kind === 'console')
      for (const { args, printed } of sessionsOf(block)) {
        if (isElsewhere(args.join(' '))) continue;
        const ran = await run(args, block.place);
        count += 1;
        const said = ran === undefined ? '' : `${ran.stdout}${ran.stderr}`;
        const title = `${block.place}: sealpost ${args.join(' ')} prints\n${said}`;
        assert.equal(alike(settled(said)), alike(settled(printed)), title);
      }
    else if (block.kind === 'indented' || block.kind === 'sh')
      for (const line of plainCommands(block.lines)) {
        if (isElsewhere(line)) continue;
        const ran = await run(wordsOf(line), block.place);
        count += 1;
        if (ran) assert.equal(ran.code, 0, `${block.place}: sealpost ${line}\n${ran.stdout}${ran.stderr}`);
      }
  }
  for (const test of Object.values(elsewhere))
    assert.ok(existsSync(resolve(import.meta.dirname, '..', test)), `${test} is not there`);
  assert.deepEqual([...unused], [], `${file} has no such commands`);
  return count;
}
