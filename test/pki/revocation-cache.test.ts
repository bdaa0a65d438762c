import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FetchStore } from '../../src/pki/revocation-cache.ts';

const now = new Date('2026-11-29T12:00:00Z');
const later = (milliseconds: number) => new Date(now.getTime() + milliseconds);

/** A store of this many octets, and what it fetched. */
function makeStore(room = 100) {
  const store = new FetchStore<string>(room);
  const fetched: string[] = [];
  const get = (key: string, size: number, at = now) =>
    store.get(key, at, async () => {
      fetched.push(key);
      if (size === 0) throw new Error(`no ${key}`);
      return { value: `${key}!`, size, holdsUntil: at.getTime() + 3_600_000 };
    });
  return { get, fetched };
}

describe('what was fetched', () => {
  it('stays to the last octet, and the one that was not used for longest goes first', async () => {
    const { get, fetched } = makeStore();
    for (const key of ['a', 'b', 'a']) assert.equal(await get(key, 50), `${key}!`);
    assert.deepEqual(fetched, ['a', 'b']);
    await get('c', 1);
    await get('a', 50);
    assert.deepEqual(fetched, ['a', 'b', 'c']);
    await get('b', 50);
    assert.deepEqual(fetched, ['a', 'b', 'c', 'b']);
  });

  it('is not driven out by one that is larger than all the room', async () => {
    const { get, fetched } = makeStore();
    await get('a', 50);
    await get('b', 50);
    assert.equal(await get('large', 101), 'large!');
    await get('a', 50);
    await get('b', 50);
    assert.deepEqual(fetched, ['a', 'b', 'large']);
  });

  it('holds as long as it says, a failure for a minute', async () => {
    const { get, fetched } = makeStore(1000);
    await get('a', 10);
    await assert.rejects(get('x', 0), /no x/);
    await assert.rejects(get('x', 0, later(59_999)), /no x/);
    await get('a', 10, later(3_599_999));
    assert.deepEqual(fetched, ['a', 'x']);
    await assert.rejects(get('x', 0, later(60_000)), /no x/);
    await get('a', 10, later(3_600_000));
    assert.deepEqual(fetched, ['a', 'x', 'x', 'a']);
  });

  it('is asked for once by those who ask at the same time', async () => {
    const { get, fetched } = makeStore();
    assert.deepEqual(await Promise.all([get('a', 10), get('a', 10)]), ['a!', 'a!']);
    assert.deepEqual(fetched, ['a']);
  });
});
