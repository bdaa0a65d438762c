import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { Facts, QueueRoom } from '../../src/queue/index.ts';
import { command } from '../support/command.ts';
import { accept, until } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('messages', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let configFile: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    configFile = world.file(
      'sealpost.yaml',
      stringify({ dataDir: server.dataDir, redis: { url: server.url } }),
    );
    queue = await openTestQueue(server);
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const ran = await command([...args, '--config', configFile], { env: { SUDO_USER: 'alice' } });
    return { ...ran, stdout: ran.stdout.toString() };
  };

  async function suspended(
    text: string,
    reason: string,
    mailbox = 'edi',
    facts: Facts = {},
  ): Promise<string> {
    const { id } = await accept(queue, text, mailbox);
    const data = (await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '';
    await queue.redis.del(`{sealpost}:inbound:${id}`);
    await queue.redis.lrem('{sealpost}:inbound:wait', 0, id);
    await queue.flow.suspend('inbound', JSON.parse(data), reason, facts);
    return id;
  }
  const stateOf = async (id: string) => (await queue.ledger.get(id))?.state;

  it('acts on what the filters choose, after a dry run that changes nothing', async () => {
    const chosen = [await suspended('a', 'decrypt-no-key'), await suspended('b', 'decrypt-no-key')];
    const other = await suspended('c', 'decrypt-no-key', 'orders');
    const filters = ['--reason', 'decrypt-no-key', '--mailbox', 'edi'];
    const outbound = await run('messages', 'list', ...filters, '--direction', 'outbound', '--json');
    assert.deepEqual(JSON.parse(outbound.stdout), { messages: [], cursor: null });
    const listed = await run('messages', 'list', ...filters, '--direction', 'inbound', '--json');
    const ids: string[] = JSON.parse(listed.stdout).messages.map(({ id }: { id: string }) => id);
    assert.deepEqual(new Set(ids), new Set(chosen));
    const dry = await run('messages', 'resume', ...filters, '--dry-run', '--json');
    const told = JSON.parse(dry.stdout);
    assert.equal(told.messages, 2);
    assert.deepEqual(new Set(told.ids), new Set(chosen));
    for (const id of chosen) assert.equal(await stateOf(id), 'suspended');
    const done = await run('messages', 'resume', ...filters, '--json', '--why', 'key loaded');
    assert.equal(done.code, 0, done.stderr);
    assert.equal(JSON.parse(done.stdout).messages, 2);
    for (const id of chosen) assert.equal(await stateOf(id), 'received');
    assert.equal(await stateOf(other), 'suspended');
    const ended = await run('messages', 'terminate', '--all', '--why', 'enough');
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(await stateOf(other), 'terminated');
    assert.equal(await stateOf(chosen[0] ?? ''), 'received', 'not suspended, so not chosen');
    const { entries: audit, cursor } = JSON.parse((await run('audit', '--json')).stdout);
    assert.equal(cursor, null);
    const page = JSON.parse((await run('audit', '--json', '--limit', '2')).stdout);
    assert.deepEqual(page.entries, audit.slice(0, 2));
    const next = JSON.parse((await run('audit', '--json', '--cursor', page.cursor)).stdout);
    assert.deepEqual(next, { entries: audit.slice(2), cursor: null });
    const more = await run('audit', '--limit', '2');
    assert.match(more.stderr, new RegExp(`^more: --cursor ${page.cursor}$`, 'm'));
    assert.deepEqual(
      audit.map(({ by, what, why }: Record<string, string>) => [
        /says (\w+)\)$/.exec(by ?? '')?.[1],
        what,
        why,
      ]),
      [
        ['alice', 'terminate', 'enough'],
        ['alice', 'resume', 'key loaded'],
        ['alice', 'resume', 'key loaded'],
      ],
    );
  });

  it('says which rule a message failed, where a code is for several', async () => {
    const message = 'encryption is required, but the message is not encrypted';
    const known = await suspended('not encrypted', 'policy-refused', 'edi', { message });
    const { stdout } = await run('messages', 'show', known);
    assert.match(
      stdout,
      /^why +policy-refused: encryption is required, but the message is not encrypted\nnext /,
    );
    const unknown = await suspended('of a version before', 'policy-refused');
    const told = await run('messages', 'show', unknown);
    assert.match(told.stdout, /^why +policy-refused: encryption, a trusted signature or/);
    for (const id of [known, unknown]) await queue.flow.terminate(id, 'test');
  });

  it('acts on nothing by mistake', async () => {
    const id = await suspended('d', 'not-smime');
    for (const args of [
      [],
      [id, '--all'],
      [id, '--mailbox', 'edi'],
      ['--since', 'soon'],
      ['--sha256', 'beef'],
    ]) {
      const ran = await run('messages', 'terminate', '--why', 'x', ...args);
      assert.equal(ran.code, 2, args.join(' '));
    }
    assert.equal((await run('messages', 'terminate', id)).code, 2, 'without a reason');
    assert.equal(await stateOf(id), 'suspended');
    const partly = await run('messages', 'resume', id, 'i0');
    assert.equal(partly.code, 1);
    assert.match(partly.stderr, /there is no message i0/);
    assert.equal(await stateOf(id), 'received');
  });

  it('says when a message is tried next, and tries it now', async () => {
    const { id } = await accept(queue, 'tried again later');
    const worker = await queue.queues.createWorker(
      'inbound',
      async (job) =>
        job.id === id ? { retry: 'spool-refused', facts: { message: 'busy' } } : { done: true },
      { concurrency: 1 },
    );
    await until(async () => ((await queue.ledger.due([id]))[0] ?? 0) > 0);
    await worker.close(1000);
    const listed = await run('messages', 'list', '--json');
    const said = JSON.parse(listed.stdout).messages.find((each: { id: string }) => each.id === id);
    assert.deepEqual(
      [said.attempts, said.lastError.code, said.lastError.facts.message],
      [1, 'spool-refused', 'busy'],
    );
    assert.ok(Date.parse(said.nextAttempt) > Date.now() - 60_000);
    const shown = await run('messages', 'show', id);
    assert.match(shown.stdout, /^attempts +1\nlast reply +busy\ntry +(?:next in|is due now)/m);
    assert.match(
      (await run('messages', 'list')).stdout,
      /attempt 1 failed, (?:next in \d+ s \(\d\d:\d\d:\d\d\)|is due now): busy/,
    );
    const dry = await run('messages', 'retry', '--mailbox', 'edi', '--dry-run', '--json');
    assert.ok(JSON.parse(dry.stdout).ids.includes(id), dry.stderr);
    const tried = await run('messages', 'retry', id, '--why', 'repaired');
    assert.equal(tried.code, 0, tried.stderr);
    assert.ok(((await queue.ledger.due([id]))[0] ?? Number.POSITIVE_INFINITY) <= Date.now());
    await queue.flow.terminate(id, 'enough');
    const ended = await run('messages', 'retry', id);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /has nothing that waits/);
  });

  it('lists no more than requested, and rejects an invalid number', async () => {
    await suspended('limit a', 'not-smime');
    await suspended('limit b', 'not-smime');
    const one = await run('messages', 'list', '--json', '--limit', '1');
    assert.equal(one.code, 0, one.stderr);
    assert.equal(JSON.parse(one.stdout.toString()).messages.length, 1);
    for (const limit of ['0', '-1', '1.5', 'all', ''])
      for (const command of [['messages', 'list'], ['audit']]) {
        const ran = await run(...command, '--limit', limit);
        assert.equal(ran.code, 2, `${command.join(' ')} --limit ${limit}`);
        assert.match(ran.stderr, /--limit: give a whole number from 1/);
      }
  });

  it('saves the octets as they came into a new file of its owner only, and audits it', async () => {
    const id = await suspended('octets as they came', 'not-smime');
    const file = join(world.folder, 'original.eml');
    const saved = await run('messages', 'save', id, '--original', file);
    assert.equal(saved.code, 0, saved.stderr);
    assert.equal(readFileSync(file, 'utf8'), 'octets as they came');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal((await run('messages', 'save', id, '--original', file)).code, 1, 'not over another file');
    assert.equal(JSON.parse((await run('audit', '--id', id, '--json')).stdout).entries[0].what, 'save');
    await queue.flow.terminate(id, 'test');
    const gone = join(world.folder, 'gone.eml');
    const none = await run('messages', 'save', id, '--original', gone);
    assert.match(none.stderr, /original-gone/);
    assert.equal(existsSync(gone), false);
  });

  it('decodes again, and pages', async () => {
    const id = await suspended('e', 'decrypt-no-key');
    const ran = await run('messages', 'decode', id);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(await stateOf(id), 'received');
    const page = await run('messages', 'list', '--limit', '2');
    const cursor = /--cursor (\S+)/.exec(page.stderr)?.[1] ?? '';
    const next = await run('messages', 'list', '--limit', '2', '--cursor', cursor);
    const idsOf = (text: string) => text.match(/^i[0-9a-f]{31}/gm) ?? [];
    const first = idsOf(page.stdout);
    assert.equal(first.length, 2);
    assert.ok(idsOf(next.stdout).length > 0);
    for (const each of idsOf(next.stdout)) assert.ok(!first.includes(each));
    // the cursor of JSON is inside, and leads to the same page
    const whole = JSON.parse((await run('messages', 'list', '--limit', '2', '--json')).stdout);
    assert.equal(whole.cursor, cursor);
    const rest = await run('messages', 'list', '--limit', '2', '--json', '--cursor', whole.cursor);
    assert.deepEqual(
      JSON.parse(rest.stdout).messages.map((each: { id: string }) => each.id),
      idsOf(next.stdout),
    );
  });

  it('shows why a message is suspended and what to do, with the cause behind used-up attempts', async () => {
    const id = await suspended('shown', 'decrypt-no-key');
    const { stdout } = await run('messages', 'show', id);
    assert.match(stdout, /^reason +decrypt-no-key$/m);
    assert.match(stdout, /^why +decrypt-no-key: none of the keys here belongs to a recipient/m);
    assert.match(stdout, /^why .*\nnext +See which key it is with sealpost certs show/);
    const given = await suspended('given up', 'attempts-exhausted', 'edi', { last: 'spool-full' });
    const shown = await run('messages', 'show', given);
    assert.match(shown.stdout, /^why +attempts-exhausted: .*\nnext .*\nwhy +spool-full: .*\nnext +Make room/);
    const foreign = await suspended('of a later version', 'code-of-later');
    assert.doesNotMatch((await run('messages', 'show', foreign)).stdout, /^why .*: |undefined/m);
    const none = await run('messages', 'show', 'i0');
    assert.match(none.stderr, /\[message-unknown\]\nhint: /);
    await run('messages', 'terminate', '--all', '--why', 'seen');
  });

  it('retry by filters passes over what is in hand, and by id says that nothing waits', async () => {
    const [busy, waits] = [await accept(queue, 'busy', 'hands'), await accept(queue, 'waits', 'hands')];
    await queue.redis.lrem('{sealpost}:inbound:wait', 0, busy.id);
    const all = await run('messages', 'retry', '--mailbox', 'hands', '--json');
    assert.deepEqual([all.code, JSON.parse(all.stdout).ids], [0, [waits.id]]);
    const named = await run('messages', 'retry', busy.id);
    assert.equal(named.code, 1);
    assert.match(named.stderr, /has nothing that waits/);
    for (const { id } of [busy, waits]) await queue.flow.terminate(id, 'enough');
  });
});
