/** What a command loads before it does anything: most of its time, so it is counted. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { countLoaded, partsOf } from '../support/loaded.ts';
import { makeWorld } from '../support/world.ts';

const cli = resolve(import.meta.dirname, '../../src/cli.ts');

describe('the start of a command', () => {
  const world = makeWorld();
  after(() => world.remove());
  /** Settings that are valid, with a Redis that nobody runs. */
  const config = world.file(
    'c.yaml',
    'dataDir: data\nredis: { url: "unix:///nonexistent/redis.sock", commandTimeout: 1s }\n',
  );

  let runs = 0;
  function loaded(args: string[]): string[] {
    const modules = countLoaded(world, `run${runs++}`);
    spawnSync(process.execPath, ['--openssl-legacy-provider', cli, ...args], {
      env: { ...process.env, ...modules.env, NODE_COMPILE_CACHE: join(world.folder, 'cache') },
    });
    return modules.of('cli.ts');
  }

  it('loads nothing for its help', () => {
    for (const args of [['--help'], ['--version'], ['nonsense']]) {
      const urls = loaded(args).filter((url) => !url.startsWith('node:'));
      assert.deepEqual(
        [...partsOf(urls)].sort(),
        ['commander', 'commands', 'config', undefined].sort(),
        args.join(),
      );
      assert.ok(urls.length < 25, `${urls.length} modules`);
    }
  });

  it('loads of the queue what reads records, for commands that only read them', () => {
    for (const args of [['messages', 'list'], ['messages', 'show', 'x'], ['audit']]) {
      const urls = loaded([...args, '--config', config]);
      const found = partsOf(urls);
      assert.ok(
        found.has('ioredis') && urls.some((url) => url.endsWith('src/queue/records.ts')),
        args.join(),
      );
      for (const name of [
        'bullmq',
        'pino',
        'prom-client',
        'imapflow',
        'mailparser',
        'nodemailer',
        'node-forge',
        'handoff',
        'cms',
      ])
        assert.ok(!found.has(name), `${args.join(' ')} loads ${name}`);
      assert.ok(urls.length < 450, `${urls.length} modules`);
    }
  });

  it('reads and checks a configuration once, and not again while it stays as it is', () => {
    const settings = world.file('once.yaml', readFileSync(config));
    const list = () => loaded(['messages', 'list', '--config', settings]);
    const [first, second] = [list(), list()];
    for (const name of ['yaml', 'zod']) {
      assert.ok(partsOf(first).has(name), name);
      assert.ok(!partsOf(second).has(name), name);
    }
    assert.ok(second.length < 220, `${second.length} modules`);
    world.file('once.yaml', `${readFileSync(config)}# changed\n`);
    assert.ok(partsOf(list()).has('yaml'));
  });

  it('loads the codec without the queue, and the queue without the codec', () => {
    const codec = partsOf(loaded(['encode', '/nonexistent', '--to', '/nonexistent']));
    for (const name of ['bullmq', 'ioredis', 'mailparser', 'imapflow']) assert.ok(!codec.has(name), name);
    const health = partsOf(loaded(['health', '--config', config]));
    for (const name of ['mailparser', 'imapflow', '@aws-sdk/client-s3', 'cms', 'pino'])
      assert.ok(!health.has(name), name);
  });
});
