/**
 * Documents for operators: their commands are run as they stand against one daemon, and print what the pages say. A
 * backup of it is restored beside it.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { stringify } from 'yaml';
import { application } from '../biztalk/support.ts';
import { command } from '../support/command.ts';
import { baseConfig, bootDaemon, type Launched, launch, type TestDaemon } from '../support/daemon.ts';
import { blocksOf, wordsOf } from '../support/doc-blocks.ts';
import { runDocument } from '../support/doc-runner.ts';
import { assertDocument } from '../support/documents.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

describe('documents for operators', {
  skip: skipWithout('openssl', 'redis-server'),
  timeout: 600_000,
}, () => {
  const home = process.cwd();
  let world: World;
  let folder: string;
  let hook: Hook;
  let partner: SMTPServer;
  let daemon: TestDaemon;
  let restored: Launched | undefined;
  /** A message for which there is no key. */
  let id: string;

  const configFile = () => join(folder, 'sealpost.yaml');
  /** Nobody listens on that port: the daemon has no console. */
  const consoleFile = () => join(folder, 'console.yaml');
  const restoredFile = () => join(folder, 'elsewhere.yaml');
  /** Paths of the pages, and where they are here. */
  const places = (): [string, string][] => [
    ['/backup/', `${folder}/`],
    ['one.backup', join(folder, '2026-11-30.backup')],
    ['/srv/order.edi', join(folder, 'order.edi')],
    ['/var/log/sealpost.log', join(folder, 'daemon.log')],
    ['/usr/local/share/man/man1', join(folder, 'man1')],
  ];
  /** The name of this machine, where a command names it. */
  const host = new RegExp(`(@|by |  )${hostname().replaceAll('.', '\\.')}(?=[: ]|$)`, 'gm');
  const here = (text: string) => places().reduce((all, [page, path]) => all.replaceAll(page, path), text);
  const asOnPage = (text: string) =>
    places()
      .reduceRight((all, [page, path]) => all.replaceAll(path, page), text)
      .replaceAll(host, '$1mail1');
  const alike = (text: string) =>
    asOnPage(text)
      // of a busy machine
      .replaceAll(/^(?:clock|fails) .*\n/gm, '')
      .replaceAll(/\b(?:[0-9a-f]{16}|[0-9a-f]{12}|[0-9a-f]{8})\b/g, 'HEX')
      .replaceAll(/\b\d+ (ms|keys|objects?|files?|octets|s|m|messages?)\b/g, 'N $1')
      .replaceAll(/process \d+|(?<=by mail1) \d+/g, ' process N')
      .replaceAll(/\b\w+@mail1/g, 'USER@mail1')
      .replaceAll(/^[\w-]{20}$/gm, 'CODE')
      .replaceAll(/ \d+(?= +restored$)/gm, ' N')
      .replaceAll(/ {2,}/g, '  ');

  before(async () => {
    world = makeWorld();
    folder = realpathSync(world.folder);
    hook = await startHook();
    partner = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS', 'AUTH'] });
    const listener = partner.listen(0, '127.0.0.1');
    await new Promise((done) => listener.once('listening', done));
    const address = listener.address();
    assert.ok(typeof address === 'object' && address !== null);
    const { certFile } = world.partner;
    const config = {
      ...baseConfig(world, folder),
      log: { level: 'info' },
      partners: [
        {
          name: 'acme',
          addresses: ['edi@partner.example'],
          certificates: [certFile],
          identity: 'own',
          from: 'orders@own.example',
          route: { host: '127.0.0.1', port: address.port, tls: 'none' },
        },
      ],
      http: { port: 0 },
      alerts: {
        // what a busy machine may have of its own
        rules: ['disk', 'memory', 'role', 'refusing', 'trouble'].map((name) => ({ name, off: true })),
        every: '1s',
        webhook: { url: hook.url, allowPrivate: true, secret: { env: 'HOOK_SECRET' } },
      },
    };
    process.env.HOOK_SECRET = 'a secret of the people who operate it';
    mkdirSync(join(folder, 'inbox'));
    writeFileSync(configFile(), stringify(config));
    writeFileSync(consoleFile(), stringify({ ...config, console: { port: 8027 } }));
    const { http: _, ...others } = config;
    writeFileSync(restoredFile(), stringify({ ...others, dataDir: join(folder, 'elsewhere') }));
    world.file('order.edi', "UNA:+.? 'UNB+UNOC:3+OWN+ACME'");
    world.file('bindings.xml', application);
    daemon = await bootDaemon(folder, configFile());
    const strange = world.party('somebody@else.example');
    id = await daemon.accept(world.mail(textEntity('order'), { to: strange }));
    await daemon.reaches(id, 'suspended');
    writeFileSync(join(folder, 'daemon.log'), daemon.log());
    process.chdir(folder);
  });
  after(async () => {
    process.chdir(home);
    delete process.env.HOOK_SECRET;
    if (restored) {
      process.kill(restored.pid, 'SIGTERM');
      await restored.ended;
    }
    await daemon?.stop();
    hook?.close();
    await new Promise<void>((done) => partner?.close(() => done()));
    world?.remove();
  });

  /** What the pages call ID: a message, or an alert or silence. */
  async function named(words: string[]): Promise<string[]> {
    if (!words.some((word) => /^ID(?:\.\.\.)?$/.test(word))) return words;
    let own = id;
    if (words[0] === 'alerts') {
      const { stdout } = await daemon.command(['alerts', 'list', '--json']);
      const { alerts, silences } = JSON.parse(`${stdout}`);
      own = (words[1] === 'unsilence' ? silences : alerts)[0].id;
    }
    return words.map((word) => word.replace(/^ID(?:\.\.\.)?$/, own));
  }

  async function run(words: string[]) {
    const args = (await named(words)).map(here);
    const [first, second] = args;
    if (first === 'start') {
      restored = launch(restoredFile());
      await daemon.waitFor('it waits', () => restored?.log().includes('paused after a restore'));
      return undefined;
    }
    if (first === 'restore' && second !== 'files' && second !== 'release') {
      // as the page says: the spool key of then
      mkdirSync(join(folder, 'elsewhere'), { mode: 0o700 });
      copyFileSync(join(daemon.dataDir, 'spool.key'), join(folder, 'elsewhere/spool.key'));
      chmodSync(join(folder, 'elsewhere/spool.key'), 0o600);
    }
    const isRestored = (first === 'restore' && second !== 'files') || args.includes('restored');
    const none =
      ['completion', 'man', 'import'].includes(first ?? '') ||
      ['keygen', 'verify', 'files'].includes(second ?? '');
    const file = isRestored ? restoredFile() : first === 'users' ? consoleFile() : configFile();
    const config = none ? [] : ['--config', file];
    if (first === 'health')
      await daemon.waitFor('each role has given a sign of life', async () => {
        const { stdout } = await daemon.command(['health', '--json']);
        return JSON.parse(`${stdout}`).alive.length === 5;
      });
    const ran = await command([...args, ...config]);
    if (second === 'decode') await daemon.reaches(id, 'suspended');
    if (first === 'send') await daemon.reaches(`${ran.stdout}`.trim(), 'sent');
    return ran;
  }

  it('alerts.md: an alert, and its silence', async () => {
    await daemon.waitFor('the alert is told', async () => {
      const { stdout } = await daemon.command(['alerts', 'list']);
      return `${stdout}`.includes(' suspended ') && `${stdout}`.includes(': taken');
    });
    assert.equal(await runDocument('docs/alerts.md', { run, alike }), 6);
    await daemon.waitFor('the test is told', () =>
      hook.posted.some(({ body }) => body.includes('"kind":"test"')),
    );
    const kinds = hook.posted.map(({ body }) => {
      const document = JSON.parse(body);
      assertDocument('alerts', document);
      return document.alerts[0].kind;
    });
    assert.equal(kinds[0], 'fired');
    const [page = ''] = blocksOf('docs/alerts.md')
      .map(({ lines }) => lines.join('\n'))
      .filter((text) => text.startsWith('{ "alerts"'));
    assertDocument('alerts', JSON.parse(page));
  });

  it('operations.md: health, log, backup and restore, messages', async () => {
    const count = await runDocument('docs/operations.md', {
      run,
      alike,
      elsewhere: {
        'messages list --watch': 'commands/messages.test.ts',
        // two generations of processes at once
        reload: 'daemon/reload.test.ts',
      },
    });
    assert.ok(count >= 28, `${count}`);
  });

  it('console.md, from-biztalk.md: people, and an import', async () => {
    assert.equal(await runDocument('docs/console.md', { run, alike }), 1);
    // the table of commands: each as it stands, and what it abbreviates
    const page = readFileSync(join(home, 'docs/console.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `sealpost (users [^`]+)`(.*?) \|/gm)].flatMap(
      ([, line = '', others = '']) => [
        line,
        ...[...others.matchAll(/`(\w+)`/g)].map(([, verb = '']) => `users ${verb} NAME`),
      ],
    );
    assert.ok(rows.length >= 9, `${rows.length}`);
    rows.sort((a, b) => Number(a.includes('remove')) - Number(b.includes('remove')));
    const more: Record<string, string[]> = { change: ['--role', 'viewer'] };
    for (const line of rows) {
      const words = wordsOf(line.replace('NAME', 'bob').replace('ROLE', 'operator').replaceAll(/[[\]]/g, ''));
      const ran = await run([...words, ...(more[words[1] ?? ''] ?? [])]);
      assert.equal(ran?.code, 0, `${line}: ${ran?.stdout}${ran?.stderr}`);
    }
    assert.equal(await runDocument('docs/from-biztalk.md', { run, alike }), 1);
  });
});
