/** The short form of the fault harness: a handful of faults with small counts. The long one is `npm run faults`. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { skipWithout } from '../support/world.ts';
import { cases } from './cases.ts';
import { type CaseResult, runCases } from './run.ts';

const chosen = cases.filter(({ short }) => short);

describe('faults, short form', { skip: skipWithout('redis-server', 'openssl') }, () => {
  let results: CaseResult[] = [];
  before(async () => {
    results = await runCases({ cases: chosen, kills: 4, short: true, jobs: 4 });
  });
  for (const { id, title } of chosen) {
    it(`${id}: ${title}`, (t) => {
      const result = results.find((each) => each.case.id === id);
      if (result?.skipped !== undefined) return t.skip(result.skipped);
      assert.deepEqual(result?.failures, []);
    });
  }
});
