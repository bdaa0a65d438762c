/** What a command loads before it does anything: most of its time, so it is counted. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeWorld } from '../support/world.ts';

const cli = resolve(import.meta.dirname, '../../src/cli.ts');

describe('the start of a command', () => {
  const world = makeWorld();
  after(() => world.remove());
  const hook = world.file(
    'hook.mjs',
    `import { registerHooks } from 'node:module';
    const urls = [];
    registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
    process.on('exit', () => process.stderr.write('\\nloaded ' + JSON.stringify(urls)));`,
  );
  /** Settings that are valid, with a Redis that nobody runs. */
  const config = world.file(
    'c.yaml',
    'dataDir: data\nredis: { url: "unix:///nonexistent/redis.sock", commandTimeout: 1s }\n',
  );

  function loaded(args: string[]): string[] {
    const ran = spawnSync(process.execPath, ['--import', hook, '--openssl-legacy-provider', cli, ...args], {
      encoding: 'utf8',
      env: { ...process.env, NODE_COMPILE_CACHE: join(world.folder, 'cache') },
    });
    const found = /\nloaded (\[.*\])/.exec(ran.stderr)?.[1];
    assert.ok(found, ran.stderr);
    return JSON.parse(found);
  }
  /** Libraries and rooms; the rows of algorithms are data, which settings are checked against. */
  const parts = (urls: string[]) =>
    new Set(
      urls
        .filter((url) => !/src\/(cms|pki)\/algorithms\.ts$|src\/asn1\/oids\.ts$/.test(url))
        .map((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)|src\/(\w+)\//.exec(url)?.slice(1).find(Boolean)),
    );

  it('loads nothing for its help', () => {
    for (const args of [['--help'], ['--version'], ['nonsense']]) {
      const urls = loaded(args).filter((url) => !url.startsWith('node:'));
      assert.deepEqual(
        [...parts(urls)].sort(),
        ['commander', 'commands', 'config', undefined].sort(),
        args.join(),
      );
      assert.ok(urls.length < 25, `${urls.length} modules`);
    }
  });

  it('loads of the queue what reads records, for commands that only read them', () => {
    for (const args of [['messages', 'list'], ['messages', 'show', 'x'], ['audit']]) {
      const urls = loaded([...args, '--config', config]);
      const found = parts(urls);
      assert.ok(
        found.has('ioredis') && urls.some((url) => url.endsWith('src/queue/records.ts')),
        args.join(),
      );
      for (const name of [
        'bullmq',
        'prom-client',
        'imapflow',
        'mailparser',
        'nodemailer',
        'node-forge',
        'handoff',
        'cms',
      ])
        assert.ok(!found.has(name), `${args.join(' ')} loads ${name}`);
      assert.ok(urls.length < 400, `${urls.length} modules`);
    }
  });

  it('loads the codec without the queue, and the queue without the codec', () => {
    const codec = parts(loaded(['encode', '/nonexistent', '--to', '/nonexistent']));
    for (const name of ['bullmq', 'ioredis', 'mailparser', 'imapflow']) assert.ok(!codec.has(name), name);
    const health = parts(loaded(['health', '--config', config]));
    for (const name of ['mailparser', 'imapflow', '@aws-sdk/client-s3', 'cms'])
      assert.ok(!health.has(name), name);
  });
});
