/** A single DATA: at each limit and one beyond, and what remains of refused messages. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SealpostError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { type DataLimits, Transaction } from '../../src/smtp/transaction.ts';

const limits: DataLimits = { maxSize: 20, timeout: 1000, minimumRate: 10, storeTimeout: 500 };

/** A transaction that began at 0, and what its writer was told. */
function begin(write: (chunk: Buffer) => Promise<void> | undefined = () => undefined) {
  const told = { written: '', aborts: 0 };
  const writer = {
    write(chunk: Buffer) {
      told.written += chunk.toString('latin1');
      return write(chunk);
    },
    async abort() {
      told.aborts++;
    },
  };
  const transaction = new Transaction(writer, limits, createLog('silent', 'test'), 0);
  return { told, transaction, push: (text: string) => transaction.push(Buffer.from(text, 'latin1')) };
}

describe('the octets of one DATA', () => {
  it('are as many as the limit, and not one more, however they come', () => {
    for (const pieces of [['x'.repeat(18), '\r\n'], [`${'x'.repeat(18)}\r\n`]]) {
      const { told, transaction, push } = begin();
      for (const piece of pieces) push(piece);
      assert.deepEqual([transaction.end(), told.written.length, told.aborts], [undefined, 20, 0]);
    }
    for (const pieces of [['x'.repeat(19), '\r\n'], [`${'x'.repeat(19)}\r\n`]]) {
      const { told, transaction, push } = begin();
      for (const piece of pieces) push(piece);
      assert.equal(transaction.failure?.code, 552, 'at once, not at the end');
      assert.deepEqual([transaction.end()?.code, told.aborts], [552, 1]);
      assert.ok(told.written.length <= 20);
    }
  });

  it('are given up at the first bare line end: nothing behind it is stored', () => {
    for (const bare of ['a\nb', 'a\rb', '\n', '\r\r\n']) {
      const { told, transaction, push } = begin();
      push('x\r\n');
      push(bare);
      assert.equal(transaction.failure?.code, 550, JSON.stringify(bare));
      push('more');
      assert.deepEqual([told.written, told.aborts], ['x\r\n', 1], JSON.stringify(bare));
      assert.equal(transaction.end()?.code, 550);
      assert.equal(told.aborts, 1);
    }
    const { told, transaction, push } = begin();
    push('x\r');
    assert.equal(transaction.failure, undefined, 'the LF may come');
    assert.deepEqual([transaction.end()?.code, told.aborts], [550, 1]);
  });

  it('are at least one', () => {
    const empty = begin();
    assert.deepEqual([empty.transaction.end()?.code, empty.told.aborts], [554, 1]);
    const one = begin();
    one.push('x');
    assert.deepEqual([one.transaction.end(), one.told.aborts], [undefined, 0]);
  });

  it('end with the first failure, and the spool is told once, whether it throws or rejects', async () => {
    const full = new SealpostError('spool-full', 'no room');
    for (const write of [
      () => {
        throw full;
      },
      () => Promise.reject(full),
    ]) {
      const { told, transaction, push } = begin(write);
      await push('x\r\n');
      assert.deepEqual([transaction.failure?.code, told.aborts], [452, 1]);
      push('a\nb');
      assert.deepEqual([transaction.end()?.code, told.aborts], [452, 1]);
    }
  });
});

describe('the time of one DATA', () => {
  it('is the timeout and what the octets take at the slowest rate, and not a millisecond more', () => {
    const { transaction, push } = begin();
    assert.deepEqual([transaction.overdue(1000), transaction.overdue(1001)], [undefined, 'client']);
    push('x'.repeat(10));
    assert.deepEqual([transaction.overdue(2000), transaction.overdue(2001)], [undefined, 'client']);
  });

  it('does not run while the spool makes the client wait, whose own time it is then', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { transaction, push } = begin(() => promise);
    const before = performance.now();
    const waits = push('x'.repeat(10));
    const after = performance.now();
    assert.equal(transaction.overdue(before + limits.storeTimeout), undefined);
    assert.equal(transaction.overdue(after + limits.storeTimeout + 1), 'store');
    resolve();
    await waits;
    const waited = performance.now() - before;
    assert.equal(transaction.overdue(2000), undefined);
    assert.equal(transaction.overdue(2001 + waited), 'client');
  });
});
