import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { reasonCodesPage } from '../scripts/reason-codes.ts';
import {
  consequenceOf,
  errorCodes,
  errorRow,
  errorTable,
  httpStatusOf,
  isOfClass,
  SealpostError,
} from '../src/errors.ts';

const root = resolve(import.meta.dirname, '..');
const sources = globSync(['src/**/*.ts', 'workers/**/*.ts'], { cwd: root }).map((file) => ({
  file,
  text: readFileSync(resolve(root, file), 'utf8'),
}));
const users = sources.filter(({ file }) => file !== 'src/errors.ts');

/** Names that look like a code of ours, and are something else. */
const otherNames = new Set([
  'message-id',
  'redis-server',
  'spool-key',
  'certificate-mismatch',
  'key-restricted',
  'key-agreement',
  'idempotency-key',
  'dns-packet',
  // results of TLS reports (RFC 8460, section 4.3)
  'certificate-host-mismatch',
  'certificate-expired',
  'certificate-not-trusted',
]);
const firstWords = new Set(errorCodes.filter((code) => code.includes('-')).map((code) => code.split('-')[0]));

describe('the table of codes', () => {
  it('has no code that nothing raises', () => {
    // Given to an error, or as the outcome of a step. A comparison with a code is neither.
    const raised = (code: string) =>
      new RegExp(
        `(?:SealpostError\\(\\s*|\\b(?:code|suspend|retry|reason)\\??: |\\? |: |, |\\(|=> |return )'${code}'`,
      );
    assert.deepEqual(
      errorCodes.filter((code) => !users.some(({ text }) => raised(code).test(text))),
      [],
    );
  });

  it('has every code that an error is made with, and every code that documents name', () => {
    const made = users.flatMap(({ text }) =>
      [...text.matchAll(/SealpostError\(\s*'([\w-]+)'/g)].map((match) => match[1] ?? ''),
    );
    assert.ok(made.length > 200);
    assert.deepEqual(
      made.filter((code) => errorRow(code) === undefined),
      [],
    );
    const unknown = globSync(['README.md', 'docs/*.md'], { cwd: root }).flatMap((file) =>
      [...readFileSync(resolve(root, file), 'utf8').matchAll(/`([a-z]+-[a-z-]+)`/g)]
        .map((match) => match[1] ?? '')
        .filter((name) => firstWords.has(name.split('-')[0] ?? '') && !otherNames.has(name))
        .filter((name) => errorRow(name) === undefined)
        .map((name) => `${file}: ${name}`),
    );
    assert.deepEqual(unknown, []);
  });

  it('says in a sentence what to do', () => {
    for (const code of errorCodes) {
      const { cause, remedy } = errorTable[code];
      assert.match(cause, /[^.\s]$/, code);
      assert.match(remedy, /^[A-Z].+\.$/, code);
    }
  });

  it('tells an SMTP client nothing of what lies behind a code', () => {
    for (const code of errorCodes) {
      const { smtp } = errorTable[code];
      if (smtp === undefined) continue;
      assert.match(smtp.enhanced, /^[45]\.\d\.\d$/);
      assert.equal(smtp.enhanced[0], String(smtp.code)[0], code);
      assert.doesNotMatch(smtp.text, /redis|spool|queue|key/i, code);
    }
  });

  it('decides what a failure means, by class or by row', () => {
    assert.equal(consequenceOf('mime-malformed'), 'suspend');
    assert.equal(consequenceOf('handoff-failed'), 'retry');
    assert.equal(consequenceOf('send-refused'), 'suspend');
    assert.equal(consequenceOf('spool-unreachable'), 'wait');
    assert.equal(consequenceOf('spool-refused'), 'wait');
    assert.equal(consequenceOf('spool-full'), 'retry');
    assert.equal(httpStatusOf(new SealpostError('mime-malformed', '')), 422);
    assert.equal(httpStatusOf(new SealpostError('message-unknown', '')), 404);
    assert.equal(httpStatusOf(new Error('anything')), 500);
    assert.ok(isOfClass(new SealpostError('redis-full', ''), 'peer', 'store'));
    assert.ok(!isOfClass(new SealpostError('redis-full', ''), 'peer'));
    assert.ok(!isOfClass(new Error('redis-full'), 'store'));
    assert.equal(errorRow('toString'), undefined);
  });

  it('is what docs/reason-codes.md says', () => {
    const page = readFileSync(resolve(root, 'docs/reason-codes.md'), 'utf8');
    assert.ok(page === reasonCodesPage(), 'run: npm run docs:reason-codes');
  });
});
