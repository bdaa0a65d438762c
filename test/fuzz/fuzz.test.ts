import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readNodes, writeNode } from './ber.ts';
import { readCorpus, regressions } from './corpus.ts';
import { mutate, script } from './mutate.ts';
import { check } from './target.ts';

/** `npm run fuzz` runs for minutes; this is the part in every test run. */
const runs = Number(process.env.SEALPOST_RUNS ?? 1000);

describe('the fuzzer', () => {
  it('has a corpus that the decoder understands', () => {
    const corpus = readCorpus();
    const decoded = corpus.filter((octets) => check(octets).verdict.status === 'ok');
    assert.ok(decoded.length >= 15, `${decoded.length} of ${corpus.length}`);
  });

  it('writes the elements that it reads as they were', () => {
    for (const octets of readCorpus().filter(([first]) => first === 0x30)) {
      const [nodes, end] = readNodes(octets);
      assert.equal(end, octets.length);
      assert.deepEqual(Buffer.concat(nodes.map(writeNode)), octets);
    }
  });

  for (const name of readdirSync(regressions).filter((each) => each !== 'README.md')) {
    it(`gives a verdict on what was once a finding: ${name}`, () => {
      check(readFileSync(join(regressions, name)));
    });
  }

  it('gets a verdict in time for each mutant', () => {
    const corpus = readCorpus();
    const every = fc.property(script, (each) => {
      check(mutate(each, corpus));
    });
    fc.assert(every, { numRuns: runs, endOnFailure: true });
  });
});
