/**
 * A backup of an installation with messages in every state, restored on another machine: with the real daemon, command
 * line and Redis, and killed on its way.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSecretKey } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';
import { readBackupKey } from '../../src/backup/keypair.ts';
import { readBackup } from '../../src/backup/reading.ts';
import { createLog } from '../../src/log.ts';
import { connect } from '../../src/redis/index.ts';
import { startPrivateServer } from '../../src/redis/private-server.ts';
import { sealValue } from '../../src/spool/index.ts';
import { command } from '../support/command.ts';
import { bootDaemon, launch, type TestDaemon } from '../support/daemon.ts';
import { skipWithout } from '../support/world.ts';

const fixture = join(import.meta.dirname, '../fixtures/unreleased-2026-11-30');
const program = join(import.meta.dirname, '../../bin/sealpost');
const stored: {
  partnerPort: number;
  messages: { id: string; what: string; state: string; marker: string }[];
} = JSON.parse(readFileSync(join(fixture, 'expected.json'), 'utf8'));

/** What does not happen is a failure; how fast it happens is the machine's affair. */
async function until(what: string, test: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 180_000; !(await test()); await sleep(20))
    if (Date.now() > deadline) throw new Error(`did not happen: ${what}`);
}

describe('a backup, restored elsewhere', { skip: skipWithout('openssl') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-restore-'));
  const place = (...names: string[]) => join(folder, ...names);
  const [backup, key] = [place('one.backup'), place('backup.key')];
  const mails: string[] = [];
  const partner = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onData(stream, _session, done) {
      let text = '';
      stream.on('data', (chunk) => (text += chunk));
      stream.on('end', () => {
        mails.push(text);
        done();
      });
    },
  });
  let daemon: TestDaemon | undefined;

  before(async () => {
    const listener = partner.listen(0, '127.0.0.1');
    await new Promise<void>((done) => listener.once('listening', done));
    const address = listener.address();
    assert.ok(typeof address === 'object' && address !== null);
    for (const name of ['old', 'new']) {
      mkdirSync(place(name));
      cpSync(join(fixture, 'keys'), place(name, 'keys'), { recursive: true });
      for (const each of globSync('keys/*', { cwd: place(name) })) chmodSync(place(name, each), 0o600);
      const text = readFileSync(join(fixture, 'sealpost.yaml'), 'utf8');
      writeFileSync(
        place(name, 'sealpost.yaml'),
        text.replaceAll(`port: ${stored.partnerPort}`, `port: ${address.port}`),
      );
    }
    cpSync(join(fixture, 'data'), place('old', 'data'), { recursive: true });
    chmodSync(place('old/data/spool.key'), 0o600);
  });
  after(async () => {
    await daemon?.stop();
    await new Promise<void>((done) => partner.close(() => done()));
    rmSync(folder, { recursive: true, force: true });
  });
  const connectTo = (url: string) =>
    connect({ url, commandTimeout: 30_000 }, 'worker', createLog('silent', 'test'));
  const spoolKey = () =>
    createSecretKey(readFileSync(join(fixture, 'data/spool.key'), 'utf8').trim(), 'base64');
  const subject = 'Schrauben für März';
  const withSubject = stored.messages.find(({ state }) => state === 'delivered')?.id ?? '';
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await command(args);
    return { code, text: `${stdout}${stderr}` };
  };
  const on = (name: string) => ['--config', place(name, 'sealpost.yaml')];

  it('is made while nothing runs, verified, and has no key in it', async () => {
    const server = await startPrivateServer(place('old/data'));
    const redis = connectTo(server.url);
    // a subject as keepSubjects has it, sealed for its message
    const sealed = sealValue(spoolKey(), `subject:${withSubject}`, subject).toString('base64');
    await redis.hset(`{sealpost}:m:${withSubject}`, 't', sealed);
    await redis.quit();
    await server.stop();
    assert.equal((await run('backup', 'keygen', key)).code, 0);
    const made = await run('backup', backup, '--to', `${key}.pub`, ...on('old'));
    assert.equal(made.code, 0, made.text);
    assert.doesNotMatch(made.text, /warning/);
    assert.match(made.text, /8 objects, \d+ files; written, read again and verified/);
    const again = await run('backup', backup, '--to', `${key}.pub`, ...on('old'));
    assert.match(again.text, /it already exists/);
    const verified = await run('backup', 'verify', backup, '--key', key, '--json');
    assert.equal(JSON.parse(verified.text).objects, 8);
    const files = await run('restore', 'files', backup, '--key', key, '--into', place('files'));
    assert.equal(files.code, 0, files.text);
    const names = globSync('**', { cwd: place('files') })
      .filter((name) => name.includes('.'))
      .sort();
    assert.deepEqual(
      names.filter((name) => name !== '.'),
      ['keys/older.pem', 'keys/own.pem', 'keys/partner.pem', 'keys/root.pem', 'sealpost.yaml'],
    );
  });

  it('has keys if they are asked for', async () => {
    const all = place('all.backup');
    const made = await run(
      'backup',
      all,
      '--to',
      `${key}.pub`,
      '--with-keys',
      '--with-spool-key',
      ...on('old'),
    );
    assert.equal(made.code, 0, made.text);
    await run('restore', 'files', all, '--key', key, '--into', place('all'));
    for (const name of ['keys/own.key.pem', 'spool.key'])
      assert.deepEqual(
        readFileSync(place('all', name)),
        readFileSync(join(fixture, name === 'spool.key' ? 'data/spool.key' : name)),
      );
  });

  it('asks for the spool key of then', async () => {
    const none = await run('restore', backup, '--key', key, ...on('new'));
    assert.match(none.text, /there is no spool key in/);
    mkdirSync(place('new/data'), { recursive: true, mode: 0o700 });
    writeFileSync(place('new/data/spool.key'), `${Buffer.alloc(32, 1).toString('base64')}\n`, {
      mode: 0o600,
    });
    const other = await run('restore', backup, '--key', key, ...on('new'));
    assert.match(other.text, /belongs to spool key [0-9a-f]{16}, and here is [0-9a-f]{16}/);
    cpSync(join(fixture, 'data/spool.key'), place('new/data/spool.key'));
    chmodSync(place('new/data/spool.key'), 0o600);
  });

  it('is not taken for whole when it was killed, and begins anew', async () => {
    // A larger one, so that there is a time to be killed in.
    const server = await startPrivateServer(place('old/data'));
    const redis = connectTo(server.url);
    const many = redis.pipeline();
    for (let at = 0; at < 6000; at += 1) many.set(`{sealpost}:d:${at}`, 'x'.repeat(200));
    await many.exec();
    const large = place('large.backup');
    const made = await run('backup', large, '--to', `${key}.pub`, ...on('old'));
    assert.equal(made.code, 0, made.text);
    await redis.del(...Array.from({ length: 6000 }, (_, at) => `{sealpost}:d:${at}`));
    await redis.quit();
    await server.stop();

    const target = await startPrivateServer(place('new/data'));
    const seen = connectTo(target.url);
    const args = ['restore', large, '--key', key, ...on('new')];
    // One that was through before it could be killed begins again in an empty installation.
    for (let tries = 0; tries < 20; tries++) {
      const restore = spawn(program, args, { stdio: 'ignore' });
      const ended = new Promise((done) => restore.once('exit', done));
      await until('it is loading', async () => (await seen.dbsize()) > 500 || restore.exitCode !== null);
      restore.kill('SIGKILL');
      await ended;
      if (!/paused/.test((await seen.get('{sealpost}:restore')) ?? '')) break;
      await seen.flushall();
      rmSync(place('new/data/spool'), { recursive: true, force: true });
    }
    assert.match((await seen.get('{sealpost}:restore')) ?? '', /loading/);
    await seen.quit();

    const launched = launch(place('new/sealpost.yaml'));
    const { code } = await launched.ended;
    assert.equal(code, 1);
    assert.match(launched.log(), /a restore was not finished/);
    const again = await run('restore', backup, '--key', key, ...on('new'));
    assert.equal(again.code, 0, again.text);
    assert.match(again.text, /and paused/);
    assert.match(again.text, /17 messages wait for you/);
    await target.stop();
    const twice = await run('restore', backup, '--key', key, ...on('new'));
    assert.match(twice.text, /not empty: Redis has/);
  });

  it('waits until a person releases it, and then sends nothing by itself', async () => {
    const launched = launch(place('new/sealpost.yaml'));
    await until('it says so', () => launched.log().includes('paused after a restore'));
    assert.deepEqual(launched.roles(), []);
    const listed = await run(
      'messages',
      'list',
      '--state',
      'suspended',
      '--reason',
      'restored',
      '--limit',
      '100',
      '--json',
      ...on('new'),
    );
    assert.equal(listed.code, 0, listed.text);
    const released = await run('restore', 'release', ...on('new'));
    assert.match(released.text, /released/);
    await until('it runs', () => launched.log().includes('"msg":"running"'));
    process.kill(launched.pid, 'SIGTERM');
    await launched.ended;
    assert.deepEqual(mails, []);
    assert.equal(
      existsSync(place('new/delivered')) ? globSync('delivered/*/*', { cwd: place('new') }).length : 0,
      0,
    );
  });

  it('delivers and sends each once it is resumed, and keeps the order', async () => {
    daemon = await bootDaemon(place('new'), place('new/sealpost.yaml'));
    assert.deepEqual(await daemon.queue.ledger.subjects([withSubject]), [subject]);
    const found = await run('messages', 'list', '--subject', 'SCHRAUBEN', '--json', ...on('new'));
    const { messages } = JSON.parse(found.text);
    assert.deepEqual(
      messages.map((each: { id: string; subject: string }) => [each.id, each.subject]),
      [[withSubject, subject]],
    );
    const count = await daemon.queue.ledger.count();
    assert.equal(count.received + count.decoded + count.queued, 0);
    const resumed = await run('messages', 'resume', '--reason', 'restored', ...on('new'));
    assert.equal(resumed.code, 0, resumed.text);
    const outbound = stored.messages.filter(
      ({ id, what }) => id.startsWith('o') && !what.includes('suspended'),
    );
    for (const { id, state } of outbound) if (state === 'queued') await daemon.reaches(id, 'sent');
    for (const { id, state } of stored.messages.filter(({ id }) => id.startsWith('i')))
      if (state === 'received' || state === 'decoded') await daemon.reaches(id, 'delivered');
    const line = stored.messages.filter(({ what }) => what.startsWith('in strict order'));
    const places = line.map(({ marker }) => mails.findIndex((mail) => mail.includes(`Subject: ${marker}`)));
    assert.ok(
      places.length === 2 && (places[0] ?? -1) >= 0 && (places[0] ?? 0) < (places[1] ?? 0),
      `${places}`,
    );
    const ids = new Set(mails.map((mail) => /^Message-ID: (.*)$/im.exec(mail)?.[1]));
    assert.equal(ids.size, mails.length, 'nothing was sent twice');
  });

  it('is made while the daemon works, and leaves no trace when it is killed', async () => {
    assert.ok(daemon);
    const running = daemon;
    let mailed = 0;
    const send = () => {
      mailed += 1;
      const header = `From: edi@partner.example\r\nTo: orders@own.example\r\nMessage-ID: <live${mailed}@partner.example>`;
      return running.accept(Buffer.from(`${header}\r\n\r\nnumber ${mailed}\r\n`));
    };
    const live = place('live.backup');
    // One that was through before it could be killed shows nothing, and is made again.
    for (let tries = 0; tries === 0 || (existsSync(live) && tries < 20); tries++) {
      rmSync(live, { force: true });
      const killed = spawn(program, ['backup', live, '--to', `${key}.pub`, ...on('new')], {
        stdio: 'ignore',
      });
      const ended = new Promise((done) => killed.once('exit', done));
      const hasBegun = () => globSync('.live.backup.*', { cwd: folder }).length > 0;
      await until('it has begun to write', () => hasBegun() || killed.exitCode !== null);
      killed.kill('SIGKILL');
      await ended;
    }
    assert.equal(existsSync(live), false);
    // Writes are held up for seconds at most.
    const before = [await send(), await send()];

    let busy = true;
    const sending = (async () => {
      while (busy) await send();
    })();
    const made = await run('backup', live, '--to', `${key}.pub`, ...on('new')).finally(() => {
      busy = false;
    });
    await sending;
    assert.equal(made.code, 0, made.text);
    assert.doesNotMatch(made.text, /warning/);
    const names = new Set<string>();
    await readBackup(live, readBackupKey(key, 'private'), { key: async (name) => void names.add(name) });
    for (const id of before) assert.ok(names.has(`m:${id}`), id);
  });
});
