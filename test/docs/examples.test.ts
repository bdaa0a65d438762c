/**
 * What documents show of programs: the code for receivers verifies what Sealpost signs, documents have the fields of
 * their schemas, and the programs of the checkout that pages name exist, with their options.
 */
import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { handoffDocument } from '../../src/documents/index.ts';
import { webhookSignature } from '../../src/handoff/signed-post.ts';
import { blocksOf, wordsOf } from '../support/doc-blocks.ts';

const root = resolve(import.meta.dirname, '../..');
const blockOf = (file: string, begins: string) => {
  const found = blocksOf(file).find(({ lines }) => lines[0]?.startsWith(begins));
  assert.ok(found, `${file}: ${begins}`);
  return found.lines.join('\n');
};

describe('docs/handoff.md', () => {
  it('has code that takes what Sealpost signs, and nothing else', () => {
    const code = blockOf('docs/handoff.md', 'const [, t, v1]');
    const check = new Function(
      'request',
      'body',
      'secret',
      'createHmac',
      'timingSafeEqual',
      `${code}\nreturn good;`,
    );
    const secret = 'a shared secret';
    const body = Buffer.from('{"id":"i1"}');
    const judge = (header: string, octets: Buffer, key: string) =>
      check({ headers: { 'sealpost-signature': header } }, octets, key, createHmac, timingSafeEqual);
    const now = Math.floor(Date.now() / 1000);
    const header = webhookSignature(secret, now, body);
    assert.equal(judge(header, body, secret), true);
    assert.equal(judge(header, Buffer.from('{"id":"i2"}'), secret), false);
    assert.equal(judge(header, body, 'another'), false);
    assert.equal(judge(webhookSignature(secret, now - 400, body), body, secret), false);
  });

  it('shows a document with the fields of its schema', () => {
    const text = blockOf('docs/handoff.md', 'POST /your/path').split('\n\n').slice(1).join('\n\n');
    const shown: Record<string, unknown> = parse(text);
    const { properties, required } = JSON.parse(
      readFileSync(resolve(root, 'docs/handoff.schema.json'), 'utf8'),
    );
    assert.deepEqual(
      Object.keys(shown).filter((name) => !(name in properties)),
      [],
    );
    assert.deepEqual(
      required.filter((name: string) => !(name in shown)),
      [],
    );
    assert.ok(handoffDocument);
  });
});

/** What follows the program in a line of a page. */
interface Call {
  place: string;
  program: string;
  options: string[];
}

function callsOf(file: string): Call[] {
  return blocksOf(file).flatMap(({ lines, place, kind }) =>
    kind === 'console'
      ? []
      : lines
          .map((line) => wordsOf(line.split(/ +# | \| | && /)[0] ?? ''))
          .flatMap((words) => {
            const at = words.findIndex((word) => /^(?:bench|scripts)\/\S+\.(?:ts|sh)$/.test(word));
            const npm = words[0] === 'npm' && words[1] === 'run' ? 2 : -1;
            const from = at >= 0 ? at : npm;
            if (from < 0) return [];
            const rest = words.slice(from).filter((word) => word !== '--silent');
            const [program = ''] = rest;
            return [
              {
                place,
                program: at >= 0 ? program : `npm run ${program}`,
                options: rest
                  .filter((word) => word.startsWith('--') && word !== '--')
                  .map((word) => word.slice(2)),
              },
            ];
          }),
  );
}

describe('programs of the checkout that pages name', () => {
  const { scripts } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'));

  /** Undefined if it is there and knows its options. */
  function wrong({ program, options }: Call): string | undefined {
    const name = /^npm run (.*)$/.exec(program)?.[1];
    const command: string = name === undefined ? program : (scripts[name] ?? '');
    const file = command.match(/(?:bench|scripts|src)\/[\w/-]+\.(?:ts|sh)/g)?.at(-1);
    if (name !== undefined && command === '') return 'no such script';
    if (options.length === 0)
      return file === undefined || existsSync(resolve(root, file)) ? undefined : 'no such file';
    if (file === undefined || !existsSync(resolve(root, file))) return 'no such file';
    const own = readFileSync(resolve(root, file), 'utf8');
    // and what it imports itself
    const imported = [...own.matchAll(/from '(\.[^']+\.ts)'/g)].map(([, path = '']) =>
      readFileSync(resolve(root, dirname(file), path), 'utf8'),
    );
    const source = [own, ...imported].join('\n');
    const unknown = options.find(
      (option) => !new RegExp(`(?:--|['"\\s{(])${option}(?:['")\\s:,=]|$)`, 'm').test(source),
    );
    return unknown === undefined ? undefined : `no option --${unknown}`;
  }

  it('exist, with their options', () => {
    const calls = ['README.md', 'SECURITY.md', ...globSync('docs/*.md', { cwd: root })].flatMap(callsOf);
    assert.ok(calls.length > 30, `${calls.length}`);
    const problems = calls.flatMap((call) => {
      const why = wrong(call);
      return why === undefined ? [] : [`${call.place}: ${call.program}: ${why}`];
    });
    assert.deepEqual(problems, []);
  });

  it('would be missed if they did not', () => {
    const call = { place: '', program: 'bench/codec.ts', options: ['rounds', 'squares'] };
    assert.equal(wrong(call), 'no option --squares');
    assert.equal(wrong({ ...call, program: 'bench/none.ts' }), 'no such file');
    assert.equal(wrong({ ...call, program: 'npm run nothing' }), 'no such script');
  });
});
