/** A folder that is handed off is on disk with all that it holds before it has its name, and then its name. */
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Destination } from '../../src/handoff/index.ts';
import { type FileOrder, type FileStep, recordFileOrder } from '../support/file-order.ts';
import { crlf, delivery, deps, mixed, never, piece } from './support.ts';

describe('a folder that is handed off', { skip: process.platform !== 'linux' }, () => {
  let top: string;
  let order: FileOrder;
  before(async () => {
    top = realpathSync(await mkdtemp(join(tmpdir(), 'sealpost-order-')));
    order = await recordFileOrder(top);
  });
  after(() => rm(top, { recursive: true }));

  let made = 0;
  const destination = async (): Promise<{ path: string; to: Destination }> => {
    const { createDestination } = await import('../../src/handoff/index.ts');
    made += 1;
    const path = join(top, `inbox${made}`);
    mkdirSync(path);
    const to = await createDestination({ type: 'directory', path }, deps());
    order.take();
    return { path, to };
  };

  const brief = (steps: FileStep[]) => steps.map(({ step, path }) => [step, path]);

  /** Every file and folder that got its name was synced after it was written, and the parent last of all. */
  const check = (path: string, steps: FileStep[]) => {
    const said = JSON.stringify(steps, undefined, 1);
    const renames = steps.filter(({ step }) => step === 'rename');
    assert.equal(renames.length, 1, said);
    const [{ path: draft = '', to = '' } = {}] = renames;
    const renamed = steps.findIndex(({ step }) => step === 'rename');
    assert.deepEqual(brief(steps.slice(renamed + 1)), [['sync', path]], said);
    const names = ['', ...readdirSync(to, { recursive: true }).map(String)];
    for (const name of names) {
      // By inode: the body may be a part under a second name.
      const { ino } = lstatSync(join(to, name));
      const at = steps.findIndex(({ step, inode }) => step === 'sync' && inode === ino);
      const wrote = steps.findLastIndex(({ step, inode }) => step === 'write' && inode === ino);
      assert.ok(at > wrote && at < renamed, `${name}: ${said}`);
      // A folder is synced when everything in it is there.
      const inside = steps.findLastIndex(
        ({ step, path: file }) => step === 'write' && file.startsWith(join(draft, name)),
      );
      assert.ok(at > inside, `${name}: ${said}`);
    }
    return names.length;
  };

  const small = crlf('Content-Type: text/plain\n\nhello');
  const pieces = [piece('1', small), piece('2', small)];
  const large = { contentOctets: 2_000_000 };
  const many = crlf(
    `Content-Type: multipart/mixed; boundary=b\n\n${Array.from(
      { length: 40 },
      (_, at) => `--b\nContent-Type: text/plain; name=${at}.txt\n\n${at}\n`,
    ).join('')}--b--\n`,
  );
  for (const [what, content, changes, files] of [
    ['a small one', small, {}, 4],
    ['a small one with parts and pieces', mixed, { pieces }, 12],
    ['a small one with more parts than files are open at a time', many, {}, 40],
    ['a large one', small, large, 4],
    ['a large one with parts and pieces', mixed, { ...large, pieces }, 12],
  ] as const)
    it(`${what}: all of it, then the name`, async () => {
      const { path, to } = await destination();
      const outcome = await to.deliver(delivery(content, changes), never);
      assert.ok('done' in outcome, JSON.stringify(outcome));
      assert.ok(check(path, order.take()) >= files);
    });

  it('one that is there already: its name is on disk before it is done', async () => {
    const { path, to } = await destination();
    await to.deliver(delivery(small), never);
    order.take();
    const outcome = await to.deliver(delivery(small), never);
    assert.ok('done' in outcome && outcome.facts?.repeated === true);
    assert.deepEqual(brief(order.take()), [['sync', path]]);
  });

  it('a report with the original: all of it, then the name', async () => {
    const { path, to } = await destination();
    const document = {
      kind: 'suspended',
      id: 'm-1',
      idempotencyKey: 'm-1.suspended.inbound.0',
      direction: 'inbound',
      mailbox: 'edi',
      partner: null,
      partnerBy: null,
      destination: 'failures',
      failed: { step: 'decode', to: null },
      reason: { code: 'decrypt-no-key', explanation: '', facts: {} },
      receivedAt: new Date(0).toISOString(),
      suspendedAt: new Date(1).toISOString(),
      starts: 1,
      resumed: 0,
      envelope: { from: '', to: [] },
      origin: { kind: 'smtp', detail: {} },
      messageId: null,
      octets: 5,
      sha256: '',
    } as const;
    const original = {
      octets: small.length,
      async *open() {
        yield small;
      },
    };
    const report = { document: { ...document, envelope: { from: '', to: [] } }, original };
    const outcome = await to.report(report, never);
    assert.ok('done' in outcome, JSON.stringify(outcome));
    assert.equal(check(path, order.take()), 3);
    // Repeated, as after a death between the name and the reply.
    await to.report(report, never);
    assert.deepEqual(brief(order.take()), [['sync', path]]);
  });
});
