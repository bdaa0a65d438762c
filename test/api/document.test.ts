/** The documents of the API: as the code is, right by a linter, and good for a generated client and for curl. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import createClient from 'openapi-fetch';
import { pagesOf } from '../../scripts/api-docs.ts';
import { apiExamples } from '../../scripts/api-examples.ts';
import { describeApi } from '../../src/api/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { run } from '../support/peers/run.ts';
import { makeWorld, skipWithout } from '../support/world.ts';
import type { paths } from './generated/openapi.ts';

const root = resolve(import.meta.dirname, '../..');
const module = (name: string) => join(root, 'node_modules', name);

describe('the documents of the API', { skip: skipWithout('openssl', 'curl'), timeout: 300_000 }, () => {
  const world = makeWorld();
  let api: TestApi;
  let token: string;
  before(async () => {
    api = await startApi(world);
    const grants = ['--scope', 'send,read,retry,terminate,content', '--partner', 'acme', '--sender', '*'];
    token = await api.token('erp', ...grants);
  });
  after(async () => {
    await api?.daemon.stop();
    world.remove();
  });

  it('are what the code says: npm run docs:api', async () => {
    const config = configSchema.parse({ dataDir: api.daemon.dataDir });
    const log = createLog('silent', 'test');
    const document = await describeApi({ config, log, queue: api.daemon.queue });
    for (const [name, text] of Object.entries(pagesOf(document)))
      assert.equal(readFileSync(join(root, 'docs', name), 'utf8'), text, name);
    assert.deepEqual((await api.call(token, '/v1/openapi.json')).json, JSON.parse(JSON.stringify(document)));
  });

  it('pass the linter, and a broken document does not', async () => {
    const lint = (file: string) => run(process.execPath, [module('@redocly/cli/bin/cli.js'), 'lint', file]);
    const { code, stderr } = await lint(join(root, 'docs/openapi.json'));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Your API description is valid/);
    assert.doesNotMatch(stderr, /warning/i);
    const broken = readFileSync(join(root, 'docs/openapi.json'), 'utf8').replace(
      '"responses"',
      '"responces"',
    );
    assert.equal((await lint(world.file('broken.json', broken))).code, 1);
  });

  it('make a client, which is the one that this test uses', async () => {
    const hook = join(root, 'scripts/typescript5.ts');
    const cli = module('openapi-typescript/bin/cli.js');
    const made = await run(process.execPath, ['--import', hook, cli, join(root, 'docs/openapi.json')]);
    assert.equal(made.code, 0, made.stderr);
    assert.equal(
      made.stdout.toString().trim(),
      readFileSync(join(import.meta.dirname, 'generated/openapi.ts'), 'utf8').trim(),
    );
  });

  it('and that client sends, sees, lists and ends a message of the running daemon', async () => {
    const client = createClient<paths>({ baseUrl: api.url, headers: { authorization: `Bearer ${token}` } });
    const sent = await client.POST('/v1/messages', {
      body: { partner: 'acme', text: 'from a generated client' },
    });
    assert.equal(sent.error, undefined);
    const id = sent.data?.messages[0]?.id ?? '';
    const path = { id };
    const seen = await client.GET('/v1/messages/{id}', { params: { path } });
    assert.deepEqual([seen.data?.state, seen.data?.attempts, seen.data?.nextAttempt], ['queued', 0, null]);
    const listed = await client.GET('/v1/messages', { params: { query: { state: 'queued', limit: '10' } } });
    assert.ok(listed.data?.messages.some((each) => each.id === id));
    const original = await client.GET('/v1/messages/{id}/original', { params: { path }, parseAs: 'text' });
    assert.match(String(original.data), /from a generated client/);
    const queues = await client.GET('/v1/queues');
    assert.deepEqual(
      queues.data?.queues.map(({ name, direction, suspended }) => [name, direction, suspended]),
      [['acme', 'outbound', 0]],
    );
    const ended = await client.POST('/v1/messages/{id}/terminate', {
      params: { path },
      body: { why: 'a test' },
    });
    assert.deepEqual(ended.data, { id, state: 'terminated' });
    const again = await client.POST('/v1/messages/{id}/terminate', {
      params: { path },
      body: { why: 'again' },
    });
    assert.deepEqual([again.error?.status, again.error?.code], [409, 'message-state']);
    const resumed = await client.POST('/v1/messages/{id}/resume', { params: { path }, body: {} });
    assert.equal(resumed.error?.code, 'not-granted');
    const retried = await client.POST('/v1/messages/{id}/retry', { params: { path }, body: {} });
    assert.deepEqual([retried.error?.status, retried.error?.code], [409, 'message-state']);
    const [entry] = await api.daemon.queue.audit.list({ id });
    assert.deepEqual([entry?.what, entry?.why], ['terminate', 'a test']);
  });

  it('and each example prints what the page says', async () => {
    world.file('order.xml', '<order/>');
    world.file('drawing.pdf', '%PDF-1.7');
    world.file('mail.eml', 'Subject: a mail\r\nFrom: <orders@own.example>\r\n\r\ntext\r\n');
    const page = readFileSync(join(root, 'docs/api.md'), 'utf8');
    const known = new Map<string, string>();
    for (const { title, command, prints } of apiExamples) {
      assert.ok(page.includes([...command, ...prints].map((line) => `    ${line}`).join('\n')), title);
      const text = command.join('\n').replaceAll('http://127.0.0.1:8026', api.url);
      const ran = await run('sh', ['-c', text], { env: { TOKEN: token }, cwd: world.folder });
      assert.equal(ran.code, 0, ran.stderr);
      // The same id stands for the same message throughout the page.
      const [theirs = '', ours = ''] = [prints.join('\n'), ran.stdout.toString()].map(
        (each) => /"id":"(o[0-9a-f]{31})"/.exec(each)?.[1] ?? '',
      );
      assert.equal(known.get(theirs) ?? ours, ours, title);
      known.set(theirs, ours);
      assert.equal(ran.stdout.toString().replaceAll(ours || '-', theirs || '-'), prints.join('\n'), title);
    }
  });
});
