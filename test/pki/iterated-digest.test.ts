import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { iterated } from '../../src/pki/iterated-digest.ts';

test('a digest of a digest of a digest is what node makes of it step by step', () => {
  for (const digest of ['sha1', 'sha256', 'sha512']) {
    for (let seed = 0; seed < 20; seed++) {
      let step = hash(digest, String(seed), 'buffer');
      const start = step;
      for (let rounds = 0; rounds <= 30; rounds++) {
        assert.deepEqual(iterated(digest, start, rounds), step, `${digest} ${rounds}`);
        step = hash(digest, step, 'buffer');
      }
    }
  }
});
