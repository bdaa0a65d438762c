/** The documents of the API: as the code is, right by a linter, and good for a generated client and for curl. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pagesOf } from '../../scripts/api-docs.ts';
import { apiExamples, shown } from '../../scripts/api-examples.ts';
import { describeApi } from '../../src/api/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { run } from '../support/peers/run.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const root = resolve(import.meta.dirname, '../..');
const module = (name: string) => join(root, 'node_modules', name);

describe('the documents of the API', { skip: skipWithout('openssl', 'curl'), timeout: 1_800_000 }, () => {
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

  it('make a client that sends, sees, lists and ends a message of the running daemon', async () => {
    const hook = join(root, 'scripts/typescript5.ts');
    const cli = module('openapi-typescript/bin/cli.js');
    const made = await run(process.execPath, ['--import', hook, cli, join(root, 'docs/openapi.json')]);
    assert.equal(made.code, 0, made.stderr);
    symlinkSync(join(root, 'node_modules'), join(world.folder, 'node_modules'));
    copyFileSync(join(import.meta.dirname, 'client/program.ts'), join(world.folder, 'program.ts'));
    world.file('openapi.ts', made.stdout.toString());
    world.file('package.json', '{ "type": "module" }');
    const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
    const options = { ...compilerOptions, incremental: false, tsBuildInfoFile: undefined };
    world.file('tsconfig.json', JSON.stringify({ compilerOptions: options, include: ['program.ts'] }));
    const compiler = module('typescript/bin/tsc');
    const check = () => run(process.execPath, [compiler, '-p', '.'], { cwd: world.folder });
    const checked = await check();
    assert.equal(checked.code, 0, checked.stdout.toString());

    const env = { TOKEN: token };
    const ran = await run(process.execPath, ['program.ts', api.url], { cwd: world.folder, env });
    assert.equal(ran.code, 0, ran.stderr);
    const [entry] = await api.daemon.queue.audit.list({ id: ran.stdout.toString().trim() });
    assert.deepEqual([entry?.what, entry?.why], ['terminate', 'a test']);

    // The types are those of the document: a field that an answer does not have is an error.
    const program = readFileSync(join(world.folder, 'program.ts'), 'utf8');
    world.file('program.ts', program.replace('seen.data?.attempts', 'seen.data?.atempts'));
    assert.notEqual((await check()).code, 0);
  });

  it('and each example prints what the page says', async () => {
    world.file('order.xml', '<order/>');
    world.file('drawing.pdf', '%PDF-1.7');
    world.file('mail.eml', 'Subject: a mail\r\nFrom: <orders@own.example>\r\n\r\ntext\r\n');
    const page = readFileSync(join(root, 'docs/api.md'), 'utf8');
    const known = new Map<string, string>();
    for (const { title, command, prints } of apiExamples) {
      assert.ok(
        page.includes([...command, ...prints.flatMap(shown)].map((line) => `    ${line}`).join('\n')),
        title,
      );
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
