/**
 * The fault harness: `npm run faults -- [--only R4,R7-disk-full] [--kills 100] [--short] [--jobs 2] [--messages 20000]
 * [--logs folder] [--list]`. Exits with 1 if something was lost or is wrong. See docs/reliability.md.
 */
import { parseArgs } from 'node:util';
import { cases, casesNamed } from '../test/faults/cases.ts';
import { type CaseResult, runCases, table } from '../test/faults/run.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    kills: { type: 'string', default: '20' },
    short: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
    messages: { type: 'string' },
    logs: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

if (values.list) {
  for (const { id, title } of cases) console.log(`${id.padEnd(28)} ${title}`);
  process.exit();
}
const named = values.only?.split(',').flatMap((name) => {
  const found = casesNamed(name);
  if (found.length === 0) throw new Error(`there is no case ${name}; see --list`);
  return found;
});
const chosen = named ?? cases.filter(({ short }) => !values.short || short);

function show({ case: { id }, seconds, skipped, findings, failures }: CaseResult): void {
  const outcome = skipped ? `not run: ${skipped}` : failures.length > 0 ? 'FAILED' : 'ok';
  console.error(`${id.padEnd(28)} ${outcome} (${seconds.toFixed(0)} s)`);
  for (const note of findings?.notes ?? []) console.error(`    ${note}`);
  for (const failure of failures) console.error(`    FAILURE: ${failure}`);
}

const results = await runCases({
  cases: chosen,
  kills: Number(values.kills),
  short: values.short,
  ...(values.messages === undefined ? {} : { messages: Number(values.messages) }),
  jobs: Number(values.jobs),
  ...(values.logs === undefined ? {} : { logs: values.logs }),
  onResult: show,
});
console.log(table(results));
process.exit(results.some(({ failures }) => failures.length > 0) ? 1 : 0);
