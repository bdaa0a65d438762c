/**
 * The packed library in an empty project: the examples of docs/library.md, as JavaScript and in TypeScript strict. They
 * run on the Node of the tests, on any other that PATH has, and on those of SEALPOST_TEST_NODES (paths with ":"
 * between).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDaemon } from '../support/daemon.ts';
import { countLoaded } from '../support/loaded.ts';
import { run as runProgram } from '../support/peers/run.ts';
import { makeWorld, openssl, skipWithout, textEntity } from '../support/world.ts';

const large = '0123456789\r\n'.repeat(100_000);
const root = resolve(import.meta.dirname, '../..');

interface Example {
  heading: string;
  code: string;
}

const examples: Example[] = readFileSync(join(root, 'docs/library.md'), 'utf8')
  .split(/^## /m)
  .flatMap((section) => {
    const [heading = ''] = section.split('\n');
    return [...section.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = '']) => ({ heading, code }));
  });

/** What each example prints. */
const printed: RegExp[] = [
  /^CN=me@example\.com CN=me@example\.com \[ 'orders@partner\.example' \] \d{4}-/,
  /^$/,
  /^\[\s+'default',\s+'smime-3.2',/,
  /^true valid Content-Type: text\/plain; charset=utf-8\r\n\r\nthe order\s*$/,
  /^valid true\n$/,
  /^$/,
  /^password the password does not open the PKCS#12 file \S+/,
];

function run(
  program: string,
  args: string[],
  cwd: string,
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, args, { cwd, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } });
}

/** Binaries by version, such as v22.20.0; a wrapper counts as what it runs. */
function nodes(): Map<string, string> {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'node'));
  const named = (process.env.SEALPOST_TEST_NODES ?? '').split(delimiter).filter((path) => path !== '');
  const found = new Map([[process.version, process.execPath]]);
  for (const path of [...named, ...onPath]) {
    const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    if (status === 0 && !found.has(stdout.trim())) found.set(stdout.trim(), path);
  }
  return found;
}

/** Versions whose OpenSSL decrypts RSA with implicit rejection. */
function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.slice(1).split('.').map(Number);
  return major >= 24 || (major === 22 && minor >= 20);
}

describe('sealpost/smime as it is packed', { skip: skipWithout('openssl', 'npm', 'tar') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const app = join(world.folder, 'app');
  const typed = join(world.folder, 'typed');
  /** The package with all that it depends on. */
  const whole = join(world.folder, 'whole');
  const program = join(whole, 'bin/sealpost');

  before(() => {
    const packed = join(world.folder, 'packed');
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const built = run(
      process.execPath,
      [compiler, '-p', 'tsconfig.build.json', '--outDir', join(packed, 'dist')],
      root,
    );
    assert.equal(built.status, 0, built.stdout);
    cpSync(join(root, 'src/console/static'), join(packed, 'dist/src/console/static'), { recursive: true });
    const bundled = run(process.execPath, ['scripts/bundle.ts', join(packed, 'dist')], root);
    assert.deepEqual([bundled.status, bundled.stderr], [0, '']);
    for (const name of ['package.json', 'bin', 'config', 'docs', 'README.md', 'CHANGELOG.md', 'LICENSE'])
      cpSync(join(root, name), join(packed, name), { recursive: true });
    const npm = run('npm', ['pack', '--offline', '--ignore-scripts', '--silent'], packed);
    assert.equal(npm.status, 0, npm.stderr);
    for (const [folder, packages] of [
      [app, ['fflate', 'lru-cache']],
      [typed, ['fflate', 'lru-cache', 'zod', '@types/node', 'undici-types']],
    ] as const) {
      mkdirSync(join(folder, 'node_modules/sealpost'), { recursive: true });
      mkdirSync(join(folder, 'node_modules/@types'));
      const tar = ['-xf', join(packed, npm.stdout.trim()), '--strip-components=1', '-C'];
      assert.equal(run('tar', [...tar, 'node_modules/sealpost'], folder).status, 0);
      for (const name of packages)
        symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
      writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    }
    mkdirSync(whole);
    const tar = ['-xf', join(packed, npm.stdout.trim()), '--strip-components=1', '-C', whole];
    assert.equal(run('tar', tar, packed).status, 0);
    symlinkSync(join(root, 'node_modules'), join(whole, 'node_modules'));
    prepare();
  });

  function prepare(): void {
    const me = world.party('me@example.com', { key: 'rsa2048', commonName: 'me@example.com' });
    const partner = world.party('orders@partner.example', { key: 'p256' });
    const write = (name: string, octets: Buffer | string) => writeFileSync(join(app, name), octets);
    const p12 = ['pkcs12', '-export', '-passout', 'pass:secret', '-inkey', me.keyFile, '-in', me.certFile];
    write('me.p12', openssl([...p12, '-certfile', world.anchorFile]));
    write('me.key', readFileSync(me.keyFile));
    write('me.pem', readFileSync(me.certFile));
    write('partner.pem', readFileSync(partner.certFile));
    write('ca.pem', readFileSync(world.anchorFile));
    write('mail.eml', `From: me@example.com\r\nSubject: order\r\n${textEntity('the order')}`);
    write('large.eml', `Subject: large\r\n\r\n${large}`);
    const signed = openssl(
      [
        'smime',
        '-sign',
        '-nodetach',
        '-signer',
        me.certFile,
        '-inkey',
        me.keyFile,
        '-certfile',
        world.anchorFile,
      ],
      textEntity('the order'),
    );
    write('incoming.eml', openssl(['smime', '-encrypt', '-aes256', me.certFile], signed));
    examples.forEach(({ code }, index) => {
      write(`example-${index}.mjs`, code);
      writeFileSync(join(typed, `example-${index}.mts`), code);
    });
    write('required.cjs', "console.log(Object.keys(require('sealpost/smime')).join());");
    partnerKey = partner.keyFile;
  }
  let partnerKey = '';

  for (const [version, path] of nodes()) {
    if (isSupported(version)) {
      it(`runs each example on ${version}, with only fflate and lru-cache beside it`, () => {
        assert.equal(examples.length, printed.length);
        examples.forEach(({ heading }, index) => {
          const { status, stdout, stderr } = run(path, [`example-${index}.mjs`], app);
          assert.deepEqual([heading, status, stderr], [heading, 0, '']);
          assert.match(stdout, printed[index] ?? /-/, heading);
        });
        const outgoing = readFileSync(join(app, 'outgoing.eml'));
        const inner = openssl(['cms', '-decrypt', '-inkey', partnerKey], outgoing);
        const read = openssl(['cms', '-verify', '-CAfile', world.anchorFile], inner).toString();
        assert.match(read, /UNB\+UNOC:3/);
        assert.match(
          outgoing.toString(),
          /^From: me@example\.com\r\nTo: orders@partner\.example\r\nSubject: order 4711\r\n/,
        );
        const content = readFileSync(join(app, 'content')).toString();
        assert.ok(
          content === `Content-Type: text/plain; charset=utf-8\r\n\r\n${large}`,
          content.slice(0, 100),
        );
      });

      it(`has sealpost/client on ${version}, with ioredis beside it`, () => {
        symlinkSync(join(root, 'node_modules/ioredis'), join(app, 'node_modules/ioredis'));
        writeFileSync(
          join(app, 'client.mjs'),
          "import * as client from 'sealpost/client'; console.log(Object.keys(client).join());",
        );
        const { stdout, stderr } = run(path, ['client.mjs'], app);
        rmSync(join(app, 'node_modules/ioredis'));
        assert.deepEqual([stdout, stderr], ['QueueClient,SealpostError\n', '']);
      });

      it(`has sealpost/types on ${version}, with its JSON Schemas`, () => {
        symlinkSync(join(root, 'node_modules/zod'), join(app, 'node_modules/zod'));
        writeFileSync(
          join(app, 'types.mjs'),
          "import * as types from 'sealpost/types'; import { createRequire } from 'node:module';" +
            "const schema = createRequire(import.meta.url)('sealpost/schemas/report.json');" +
            'console.log(Object.keys(types).join(), schema.title ?? schema.description, types.reportDocument.safeParse({}).success);',
        );
        const { stdout, stderr } = run(path, ['types.mjs'], app);
        rmSync(join(app, 'node_modules/zod'));
        const names =
          'alertChange,alertFields,alertsDocument,eventsDocument,handoffDocument,messageEvent,reportDocument,testDocument,verdictDocument';
        assert.deepEqual([stdout, stderr], [`${names} The report of a suspended message false\n`, '']);
      });

      it(`can be required on ${version}`, () => {
        const { stdout, stderr } = run(path, ['required.cjs'], app);
        assert.equal(stderr, '');
        assert.match(
          stdout,
          /decode,decodeSync,encode,encodeSync,.*readCertificates,readIdentities,readIdentity/,
        );
      });
    } else {
      it(`says at import that ${version} is too old`, () => {
        const { status, stdout, stderr } = run(path, ['example-0.mjs'], app);
        assert.deepEqual([status, stdout], [1, '']);
        assert.match(
          stderr,
          /Error: sealpost\/smime needs Node\.js 22\.20, 24 or later, .* this is Node\.js /,
        );
        assert.match(stderr, /code: 'node-too-old'/);
      });
    }
  }

  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    it(`has types for strict projects with moduleResolution ${moduleResolution}`, () => {
      const wrong = 'wrong.mts';
      writeFileSync(
        join(typed, wrong),
        "import { decodeSync, type Verdict } from 'sealpost/smime';\n" +
          "export const verdict: Verdict = decodeSync('text').verdict;\n" +
          'export const count: number = verdict.status;\n',
      );
      const consumer = 'consumer.mts';
      writeFileSync(
        join(typed, consumer),
        "import { type HandoffDocument, handoffDocument, type ReportDocument } from 'sealpost/types';\n" +
          'export function take(body: string): string | null {\n' +
          '  const document: HandoffDocument = handoffDocument.parse(JSON.parse(body));\n' +
          "  const [first] = document.parts;\n  return document.partnerBy === 'signature' ? (first?.text ?? null) : document.verdict.status;\n" +
          '}\n' +
          "export const why = (report: ReportDocument): 'decode' | 'handoff' | 'send' => report.failed.step;\n" +
          'export const wrong = (report: ReportDocument): number => report.kind;\n',
      );
      writeFileSync(
        join(typed, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            strict: true,
            exactOptionalPropertyTypes: true,
            noUncheckedIndexedAccess: true,
            skipLibCheck: false,
            noEmit: true,
            target: 'es2022',
            module,
            moduleResolution,
          },
          files: [...examples.map((_, index) => `example-${index}.mts`), wrong, consumer],
        }),
      );
      const { stdout } = run(
        process.execPath,
        [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'],
        typed,
      );
      const errors = stdout.split('\n').filter((line) => /error TS/.test(line));
      assert.deepEqual(
        errors.map((line) => /^(\S+)\((\d+),\d+\): error (TS\d+)/.exec(line)?.slice(1, 4)),
        [
          [consumer, '8', 'TS2322'],
          [wrong, '2', 'TS2345'],
          [wrong, '3', 'TS2322'],
        ],
        stdout,
      );
    });
  }

  it('has commands and a daemon that load few files', async () => {
    assert.match(run(program, ['--version'], whole).stdout, /^\d+\.\d+\.\d+\n$/);
    // which loads all commands
    const pages = join(world.folder, 'man');
    const manuals = run(program, ['man', '--out', pages], whole);
    assert.deepEqual([manuals.status, manuals.stderr], [0, '']);
    assert.ok(readdirSync(pages).length > 20);
    const daemon = await startDaemon(world, {
      program,
      config: {
        partners: [
          {
            ...{
              name: 'partner',
              addresses: ['edi@partner.example'],
              identity: 'own',
              from: world.own.email,
            },
            ...{ certificates: [world.partner.certFile] },
            route: { host: '127.0.0.1', port: 1, tls: 'none' },
          },
        ],
        ...{ http: { port: 0 }, api: { port: 0 }, console: { port: 0 } },
        folders: [{ path: join(world.folder, 'drop'), client: 'erp' }],
      },
    });
    try {
      const roles = ['api', 'console', 'decrypt', 'handoff', 'http', 'outbound', 'receive', 'submit'];
      assert.deepEqual(
        daemon
          .roles()
          .map(({ role }) => role)
          .sort(),
        roles,
      );
      const id = await daemon.accept(world.mail(textEntity('from the package')));
      await daemon.reaches(id, 'delivered');
      const address = /"console":"([^"]*)"/.exec(daemon.log())?.[1];
      const page = await (await fetch(`http://${address}/login`)).text();
      const [, style = ''] = /href="([^"]+\.css[^"]*)"/.exec(page) ?? [];
      assert.equal((await fetch(`http://${address}${style}`)).status, 200, style);

      const modules = countLoaded(world, 'packed');
      const file = world.file('order.edi', 'UNB');
      const args = ['send', file, '--partner', 'partner', '--config', daemon.configFile];
      const env = { ...process.env, ...modules.env, NODE_COMPILE_CACHE: join(world.folder, 'cache') };
      for (let count = 0; count < 2; count++) {
        const sent = await runProgram(program, args, { env });
        assert.deepEqual([sent.code, sent.stderr], [0, '']);
        assert.equal((await daemon.queue.ledger.get(sent.stdout.toString().trim()))?.partner, 'partner');
      }
      const urls = modules.of('cli.cjs').filter((url) => !url.startsWith('node:'));
      assert.ok(urls.length < 80, urls.join('\n'));
      // an ES module takes Node three times as long to load
      assert.deepEqual(
        urls.filter((url) => url.includes('/whole/') && !url.endsWith('.cjs')),
        [],
      );
    } finally {
      assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    }
  });

  it('names the libraries that its files contain, with their licences', () => {
    const text = readFileSync(join(whole, 'dist/bundle/THIRD-PARTY.txt'), 'utf8');
    const parts = text.split(`\n\n${'-'.repeat(80)}\n\n`).slice(1);
    for (const name of ['ioredis', 'bullmq', 'zod', 'pino']) {
      const part = parts.find((each) => each.startsWith(`${name} `));
      assert.match(part ?? '', /^\S+ \d\S* \(MIT\)\n[\s\S]*permission notice shall be included/i, name);
    }
    for (const part of parts) assert.ok(part.length > 500, part);
  });
});
