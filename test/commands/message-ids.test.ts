/** What a person sees and types: lists on a terminal, beginnings of ids, the whole story of a message. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { widthOf } from '../../src/commands/table.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { type CommandOptions, command } from '../support/command.ts';
import { accept, until } from '../support/messages.ts';
import { findProgram, run as runPeer } from '../support/peers/run.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const program = join(import.meta.dirname, '../../bin/sealpost');
/** Writes journal files (Debian: systemd-journal-remote), as journald does; not in PATH. */
const journalRemote = '/lib/systemd/systemd-journal-remote';

describe('messages as a person handles them', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let configFile: string;
  const ids: string[] = [];
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    configFile = world.file(
      'sealpost.yaml',
      stringify({ dataDir: server.dataDir, redis: { url: server.url } }),
    );
    queue = await openTestQueue(server);
    // more than 16, so that two begin with the same digit
    for (let at = 0; at < 24; at++) ids.push((await accept(queue, `message ${at}`)).id);
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });

  const run = async (args: string[], options: CommandOptions = {}) => {
    const ran = await command([...args, '--config', configFile], options);
    return { ...ran, stdout: ran.stdout.toString() };
  };
  const common = (a: string, b: string) => [...a].findIndex((char, at) => char !== b[at]);
  /** The two ids that have most characters in common, and how many. */
  const closest = () => {
    const sorted = ids.toSorted();
    const pairs = sorted.slice(1).map((id, at) => [sorted[at] ?? '', id] as const);
    return pairs.reduce((best, pair) => (common(pair[0], pair[1]) > common(best[0], best[1]) ? pair : best));
  };

  it('takes the first characters of an id for the message, everywhere', async () => {
    const [one, other] = closest();
    const length = common(one, other) + 1;
    const short = one.slice(0, length);
    assert.equal(JSON.parse((await run(['messages', 'show', short, '--json'])).stdout).id, one);
    assert.equal(
      JSON.parse((await run(['messages', 'show', one, '--json'])).stdout).id,
      one,
      'and a whole one',
    );
    assert.equal(JSON.parse((await run(['messages', 'trace', short, '--json'])).stdout).message.id, one);
    const dry = await run(['messages', 'retry', short, other, '--dry-run', '--json']);
    assert.deepEqual(JSON.parse(dry.stdout).ids, [one, other]);
    const save = join(world.folder, 'saved.eml');
    assert.equal((await run(['messages', 'save', short, '--original', save])).code, 0);
    assert.match((await run(['audit', '--id', short])).stdout, new RegExp(` save +${one}`));
    // twice the same message is one
    const twice = await run(['messages', 'retry', short, one, '--dry-run']);
    assert.equal(twice.stdout, `${one}\n1 message would be tried now; nothing was done\n`);
    const ended = await run(['messages', 'terminate', short, '--why', 'test']);
    assert.deepEqual([ended.code, ended.stdout], [0, `${one}\n`]);
    assert.equal((await queue.ledger.get(other))?.state, 'received');
  });

  it('acts on none of several that an id may mean, and names them', async () => {
    const [one, other] = closest();
    const both = one.slice(0, common(one, other));
    const ran = await run(['messages', 'show', both]);
    assert.equal(ran.code, 1);
    const named = ids.filter((id) => id.startsWith(both)).sort();
    const said = `sealpost: ${both} is the beginning of ${named.length} ids: ${named.join(', ')} [message-ambiguous]`;
    assert.deepEqual(ran.stderr.split('\n'), [said, 'hint: give more characters of the id', '']);
    const many = await run(['messages', 'terminate', 'i', '--why', 'x']);
    assert.equal(many.code, 1);
    assert.match(
      many.stderr,
      /i is the beginning of many ids, such as (?:i[0-9a-f]{31}, ){9}i[0-9a-f]{31} \[/,
    );
    assert.equal(many.stdout, '');
    for (const wrong of ['i*', '', 'i0000000000', 'i[0-9]', `${one}0`])
      assert.match((await run(['messages', 'show', wrong])).stderr, /\[message-unknown\]/, wrong);
  });

  it('fits the terminal, in colours unless NO_COLOR is set; a pipe gets whole values without them', async () => {
    const terminal = (columns: number, colours = false) => ({ columns, rows: 24, colours });
    for (const columns of [80, 100, 132]) {
      const { stdout } = await run(['messages', 'list'], { terminal: terminal(columns) });
      const lines = stdout.trimEnd().split('\n');
      assert.match(lines[0] ?? '', /^ID +TIME +DIR +STATE +PARTNER +TO +SIZE +REASON/);
      for (const line of lines) assert.ok(widthOf(line) <= columns, `${columns}: ${line}`);
      // what is left of an id names the message
      const [shown = ''] = lines[1]?.split(' ') ?? [];
      assert.equal((await run(['messages', 'show', shown])).code, 0, shown);
    }
    const piped = await run(['messages', 'list', '--limit', '1']);
    assert.match(piped.stdout, /^ID .*\ni[0-9a-f]{31} .* partner@example\.com +edi +\d+/);
    assert.equal(piped.stdout.includes('\u001b'), false);
    const coloured = await run(['messages', 'list'], { terminal: terminal(132, true) });
    assert.ok(coloured.stdout.startsWith('\u001b[1mID'), 'the heading is bold');
    const none = await run(['messages', 'list', '--state', 'sent']);
    assert.deepEqual([none.code, none.stdout, none.stderr], [0, '', 'no messages\n']);
  });

  it('tells the whole story: events, acts, and the lines of the log that name the message', async () => {
    const [id = ''] = ids;
    const at = (await queue.ledger.get(id))?.receivedAt ?? 0;
    await queue.audit.add({ at: at + 20, by: 'alice@host', what: 'content', id, why: 'asked' });
    const entry = (time: unknown, more: object) =>
      JSON.stringify({ level: 40, time, pid: 1, role: 'decrypt', ...more });
    const log = world.file(
      'daemon.log',
      [
        entry(at + 10, { id, msg: 'suspended', reason: 'x' }),
        entry(at + 11, { id: 'i0', msg: 'another message' }),
        `not a line of the log: ${id}`,
        // ISO times are an option of the log
        entry(new Date(at + 30).toISOString(), { msg: `retried ${id}` }),
      ].join('\n'),
    );
    const { stdout, stderr } = await run(['messages', 'trace', id, '--log', log]);
    assert.equal(stderr, '');
    const [received = '', ...others] = stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/^\S+ \S+ +/, ''));
    assert.match(received, /^event +received/);
    assert.deepEqual(others, [
      `log    decrypt warn suspended id=${id} reason=x`,
      'act    content     alice@host asked',
      `log    decrypt warn retried ${id}`,
    ]);
    const piped = await run(['messages', 'trace', id, '--log', '-', '--json'], {
      input: entry(1, { id, msg: 'from a pipe' }),
    });
    assert.equal(JSON.parse(piped.stdout).log[0].msg, 'from a pipe');
    const gone = await run(['messages', 'trace', id, '--log', join(world.folder, 'none.log')]);
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /none\.log cannot be read: ENOENT \[file-access\]/);
    assert.match((await run(['messages', 'trace', id])).stderr, /^log lines: add --log FILE/);
  });

  /** Calls with a `journalctl` of its own, which finds the real one by its path. */
  async function withJournal<T>(text: string, work: () => Promise<T>): Promise<T> {
    const folder = join(world.folder, 'systemd');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'journalctl'), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    const path = process.env.PATH;
    process.env.PATH = `${folder}:${path}`;
    try {
      return await work();
    } finally {
      process.env.PATH = path;
    }
  }

  it('takes the lines of the log from the journal of systemd, of the units that are ours or named', {
    skip: skipWithout('journalctl', journalRemote),
  }, async () => {
    const [id = '', other = ''] = ids;
    const at = (await queue.ledger.get(id))?.receivedAt ?? 0;
    const file = join(world.folder, 'test.journal');
    const bootId = '0123456789abcdef0123456789abcdef';
    const line = (seconds: number, unit: string, message: string) =>
      [
        `__REALTIME_TIMESTAMP=${(at + seconds * 1000) * 1000}`,
        `__MONOTONIC_TIMESTAMP=${(100 + seconds) * 1_000_000}`,
        `_BOOT_ID=${bootId}`,
        `_SYSTEMD_UNIT=${unit}`,
        `MESSAGE=${message}`,
        '\n',
      ].join('\n');
    const entry = (role: string, msg: string, about = id) =>
      JSON.stringify({ level: 30, time: at + 10, pid: 1, role, id: about, msg });
    const input = [
      line(-60, 'sealpost.service', entry('receive', 'before it came')),
      line(1, 'sealpost.service', entry('receive', 'accepted')),
      line(2, 'sealpost@decrypt.service', entry('decrypt', 'suspended')),
      line(3, 'sealpost@decrypt.service', entry('decrypt', 'suspended', other)),
      line(4, 'sealpost.service', 'a line of Node itself'),
      line(5, 'mail.service', entry('mail', 'of a unit with another name')),
    ].join('');
    const made = await runPeer(journalRemote, [`--output=${file}`, '-'], { input });
    assert.equal(made.code, 0, made.stderr.toString());
    const real = findProgram('journalctl');
    await withJournal(`exec ${real} --file=${file} "$@"`, async () => {
      const trace = async (...options: string[]) => {
        const { code, stdout, stderr } = await run(['messages', 'trace', id, '--json', ...options]);
        assert.deepEqual([code, stderr], [0, '']);
        return JSON.parse(stdout).log.map(({ msg }: { msg: string }) => msg);
      };
      assert.deepEqual(await trace('--journal'), ['accepted', 'suspended']);
      assert.deepEqual(await trace('--journal', 'mail.service'), ['of a unit with another name']);
      assert.deepEqual(await trace('--journal', 'sealpost@decrypt'), ['suspended']);
      assert.deepEqual(await trace('--journal', 'sealpost.service'), ['accepted']);
    });
  });

  it('says what journalctl says when the journal cannot be read', async () => {
    const [id = ''] = ids;
    const said = 'No journal files were opened due to insufficient permissions.';
    await withJournal(`echo "${said}" >&2; exit 1`, async () => {
      const refused = await run(['messages', 'trace', id, '--journal']);
      assert.equal(refused.code, 1);
      assert.ok(refused.stderr.includes(`journalctl: ${said} [file-access]`), refused.stderr);
    });
  });

  it('watches: new and changed messages as they come, until its reader goes', async () => {
    const child = spawn(program, ['messages', 'list', '--watch', '--json', '--config', configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const seen: { id: string; state: string }[] = [];
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      seen.push(...lines.map((line) => JSON.parse(line)));
    });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    await until(async () => seen.length >= ids.length);
    const { id } = await accept(queue, 'the next one');
    await until(async () => seen.some((each) => each.id === id && each.state === 'received'));
    await queue.flow.terminate(id, 'test');
    await until(async () => seen.some((each) => each.id === id && each.state === 'terminated'));
    assert.equal(seen.filter((each) => each.id === ids[0]).length, 1, 'what stays as it is is shown once');
    // the reader goes: the next line finds nobody
    child.stdout.destroy();
    const ended = once(child, 'exit');
    await accept(queue, 'for nobody');
    assert.deepEqual([(await ended)[0], said], [0, '']);
  });
});
