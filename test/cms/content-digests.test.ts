import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digests } from '../../src/cms/algorithms.ts';
import { ContentDigests } from '../../src/cms/index.ts';

const [common, one, other] = ['the same', ' with LF\n', ' with CRLF\r\n'].map((text) => Buffer.from(text));
const names = digests.map(({ name }) => name);

function resultOf(content: ContentDigests) {
  content.end();
  return content.result;
}

function direct(parts: readonly (Buffer | undefined)[], keep: number) {
  const content = new ContentDigests(names, keep);
  for (const part of parts) if (part !== undefined) content.write(part);
  return resultOf(content);
}

test('a fork continues independently, with each digest and the kept content', () => {
  assert.ok(common && one && other);
  for (const keep of [1000, common.length + one.length, 0]) {
    const first = new ContentDigests(names, keep);
    first.write(common);
    const second = first.fork();
    first.write(one);
    second.write(other);
    assert.deepEqual(resultOf(first), direct([common, one], keep));
    assert.deepEqual(resultOf(second), direct([common, other], keep));
  }
});
