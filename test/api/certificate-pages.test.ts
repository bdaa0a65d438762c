import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { certificateCursor, pageOf } from '../../src/api/certificate-pages.ts';

const named = (hex: string) => ({ thumbprint: hex.repeat(64) });

describe('pages of certificates', () => {
  const list = [...'abcdef'].map(named);
  const names = (page: readonly { thumbprint: string }[]) =>
    page.map(({ thumbprint }) => thumbprint[0]).join('');

  it('have each certificate once, and end', () => {
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const next: ReturnType<typeof pageOf> = pageOf(list, 2, cursor);
      seen.push(names(next.page));
      cursor = next.cursor;
      if (cursor !== null) assert.match(cursor, certificateCursor);
    }
    assert.deepEqual(seen, ['ab', 'cd', 'ef']);
    assert.equal(pageOf(list, 6, '').cursor, null, 'the limit is all there is');
    assert.equal(pageOf(list, 5, '').page.length, 5);
    assert.deepEqual(pageOf([], 5, ''), { page: [], cursor: null });
  });

  it('continue behind the same certificate when others came or went', () => {
    const { cursor } = pageOf(list, 3, '');
    assert.ok(cursor !== null);
    assert.equal(names(pageOf([named('0'), ...list], 2, cursor).page), 'de', 'one came before');
    assert.equal(names(pageOf(list.slice(1), 2, cursor).page), 'de', 'one went before');
    assert.equal(
      names(
        pageOf(
          list.filter((each) => each !== list[2]),
          2,
          cursor,
        ).page,
      ),
      'ef',
      'it went itself',
    );
    assert.deepEqual(pageOf(list.slice(0, 1), 2, cursor), { page: [], cursor: null }, 'nearly all went');
  });

  it('know one that is listed for several owners by its position', () => {
    const twice = [...'abacad'].map(named);
    const { cursor } = pageOf(twice, 3, '');
    assert.ok(cursor !== null);
    assert.equal(names(pageOf(twice, 3, cursor).page), 'cad');
  });
});
