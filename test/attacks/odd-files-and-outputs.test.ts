/**
 * Names that every object inherits, files that never end or begin, folders that cannot be written, outputs that are
 * gone or full.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { readFile } from '../../src/commands/files.ts';
import { checkConfig } from '../../src/config/check.ts';
import { loadConfig, readConfig } from '../../src/config/load.ts';
import { readPrivateFile, readPublicFile } from '../../src/config/secrets.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const program = resolve(import.meta.dirname, '../../bin/sealpost');

describe('odd files, names and outputs', { skip: skipWithout('mkfifo', 'sh') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const at = (name: string) => join(world.folder, name);
  const problemsOf = async (text: string) =>
    (await checkConfig(world.file('c.yaml', text))).map(
      ({ severity, setting, message }) => `${severity} ${setting}: ${message}`,
    );
  spawnSync('mkfifo', [at('fifo')]);

  it('are settings called constructor and __proto__, at each level', () => {
    const plain = 'dataDir: data\n';
    for (const [text, setting] of [
      [`${plain}constructor: 1\n`, 'constructor'],
      [`${plain}constructor: { a: 1 }\n`, 'constructor'],
      [`${plain}__proto__: { a: [1] }\n`, '__proto__'],
      [`${plain}smtp: { constructor: { x: 1 } }\n`, 'smtp.constructor'],
      [`${plain}redis: { password: { __proto__: { file: x } } }\n`, 'redis.password'],
      [`${plain}mailboxes: [{ name: a, toString: { a: 1 } }]\n`, 'mailboxes[0].toString'],
      [
        `${plain}mailboxes: [{ name: a, destinations: [{ type: queue, __proto__: { a: b } }] }]\n`,
        'mailboxes[0].destinations[0].__proto__',
      ],
      [`${plain}partners: [{ name: __proto__, valueOf: [] }]\n`, 'partners[0].valueOf'],
    ] as const) {
      const { config, problems } = readConfig(text, 'c.yaml');
      assert.equal(config, undefined, text);
      assert.ok(
        problems.some((problem) => problem.setting === setting),
        `${text}: ${JSON.stringify(problems)}`,
      );
    }
  });

  it('are FIFOs, devices and folders in place of configuration, key, certificate and secret', () => {
    const limit = { code: 'file-access' };
    for (const file of [at('fifo'), '/dev/zero', '/dev/null', world.folder])
      for (const read of [loadConfig, readPublicFile, readPrivateFile])
        assert.throws(() => read(file), limit, file);
    for (const file of [at('fifo'), '/dev/zero', world.folder])
      assert.throws(() => readFile(file), limit, file);
    assert.throws(() => readPrivateFile(world.file('big', Buffer.alloc(1024 * 1024 + 1))), limit);
    assert.equal(readPrivateFile(world.file('most', Buffer.alloc(1024 * 1024))).length, 1024 * 1024);
  });

  it('are pipes of a shell, which a person may name as a key', async () => {
    const mail = world.file('m.eml', world.mail('Content-Type: text/plain\r\n\r\nx\r\n', { signer: false }));
    const script = `cat ${world.own.keyFile} ${world.own.certFile} > ${at('fifo')} & exec ${program} decode ${mail} --key ${at('fifo')}`;
    const ran = spawnSync('sh', ['-c', script], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(ran.status, 0, ran.stderr);
  });

  it('are told by check all in one run: missing files beside wrong settings', async () => {
    const identity = 'identities: [{ name: own, certificate: no.pem, key: no.key }]\n';
    const wanted = [
      /identities\[0\]\.key: .*no\.key: there is no such file$/,
      /identities\[0\]\.certificate: .*no\.pem: there is no such file$/,
    ];
    for (const more of ['trust: { aia: { fetch: true } }\n', 'smtp: { hostname: 1 }\n', '']) {
      const found = await problemsOf(`dataDir: ${at('data')}\n${identity}${more}`);
      for (const each of wanted)
        assert.ok(
          found.some((line) => each.test(line)),
          `${more}${found.join('\n')}`,
        );
      if (more !== '')
        assert.ok(
          found.some((line) => /trust\.aia\.fetch|smtp\.hostname/.test(line)),
          found.join('\n'),
        );
    }
  });

  it('are data folders that cannot be used, or that everybody may write', async () => {
    mkdirSync(at('data'));
    for (const [mode, wrong] of [
      [0o700, false],
      [0o755, false],
      [0o775, false],
      [0o777, true],
      [0o1777, true],
    ] as const) {
      chmodSync(at('data'), mode);
      const found = await problemsOf(`dataDir: ${at('data')}\n`);
      assert.equal(
        found.some((line) => /^error dataDir: mode 0777 lets everyone write there$/.test(line)),
        wrong,
        found.join(),
      );
    }
    for (const folder of ['/proc/sealpost', '/proc', `${world.own.certFile}/data`]) {
      const found = await problemsOf(`dataDir: ${folder}\n`);
      assert.ok(
        found.some((line) => /^error dataDir: .*cannot be written by this user$/.test(line)),
        found.join(),
      );
    }
  });

  it('are a data folder in /proc, where mkdir would ask for ever, and one that a file stands for', () => {
    for (const [command, folder] of [
      ['start', '/proc/sealpost/data'],
      ['messages list', '/proc/sealpost'],
      ['start', world.own.certFile],
    ] as const) {
      const inbox = `destinations: [{ type: directory, path: ${at('inbox')} }]`;
      const config = world.file(
        'data.yaml',
        `dataDir: ${folder}
smtp: { listen: [{ host: 127.0.0.1, port: 0 }] }
mailboxes: [{ name: a, addresses: [a@own.example], notSmime: pass, ${inbox} }]
`,
      );
      const { status, stderr } = spawnSync(program, [...command.split(' '), '--config', config], {
        encoding: 'utf8',
        timeout: 60_000,
        killSignal: 'SIGKILL',
      });
      assert.equal(status, 1, `${command} ${folder}: ${stderr}`);
      assert.match(stderr, /the data folder cannot be made: .*\[file-access\]\nhint: set dataDir/);
      assert.doesNotMatch(stderr, /\n +at /);
    }
  });

  it('are metrics that anybody may read', async () => {
    const http = (host: string) => problemsOf(`dataDir: ${at('d')}\nhttp: { port: 8080, host: "${host}" }\n`);
    assert.ok(
      (await http('0.0.0.0')).some((line) => /^warning http\.host: is open to other machines/.test(line)),
    );
    for (const host of ['127.0.0.1', '::1'])
      assert.ok(!(await http(host)).some((line) => /http\.host/.test(line)));
  });

  it('are IMAP folders that are one and the same', async () => {
    const imap = (folder: string, moveTo: string) =>
      `{ host: mail.example, user: u, password: { env: X }, folder: ${folder}, moveTo: ${moveTo} }`;
    const mailbox = (name: string, settings: string) =>
      `{ name: ${name}, imap: ${settings}, destinations: [{ type: directory, path: ${world.folder} }] }`;
    const errorsOf = async (...mailboxes: string[]) =>
      (await problemsOf(`dataDir: ${at('d')}\nmailboxes: [${mailboxes.join(', ')}]\n`)).filter((line) =>
        /imap\.(?:moveTo|folder)/.test(line),
      );
    for (const [folder, moveTo, wrong] of [
      ['INBOX', 'inbox', 1],
      ['inbox', 'InBox', 1],
      ['Orders', 'Orders', 1],
      ['Orders', 'orders', 0],
      ['INBOX', 'INBOX.done', 0],
    ] as const)
      assert.equal((await errorsOf(mailbox('a', imap(folder, moveTo)))).length, wrong, `${folder} ${moveTo}`);
    const two = (one: string, other: string) =>
      errorsOf(mailbox('a', imap(one, 'done')), mailbox('b', imap(other, 'done')));
    assert.deepEqual([(await two('INBOX', 'Inbox')).length, (await two('x', 'X')).length], [1, 0]);
    // the two usual ports lead to the same folders, another one to another server
    const byPort = (one: string, other: string) =>
      errorsOf(
        mailbox('a', `${imap('x', 'done').slice(0, -1)}${one}}`),
        mailbox('b', `${imap('x', 'd').slice(0, -1)}${other}}`),
      );
    for (const [one, other, wrong] of [
      ['', ', port: 993', 1],
      [', port: 143, tls: starttls', ', port: 993', 1],
      ['', ', port: 1993', 0],
      [', port: 1993', ', port: 1993', 1],
    ] as const)
      assert.equal((await byPort(one, other)).length, wrong, `${one} ${other}`);
    // what one mailbox has dealt with comes to another, and from there perhaps back
    const move = (from: string, to: string, from2: string, to2: string) =>
      errorsOf(mailbox('a', imap(from, to)), mailbox('b', imap(from2, to2)));
    assert.equal((await move('INBOX', 'done', 'done', 'inbox')).length, 2);
    assert.equal((await move('INBOX', 'done', 'done', 'really')).length, 1);
    assert.equal((await move('INBOX', 'done', 'other', 'done')).length, 0);
  });

  it('are outputs whose reader has gone, and full ones', () => {
    const mail = world.file('o.eml', world.mail('Content-Type: text/plain\r\n\r\nx\r\n', { signer: false }));
    const key = `--key ${world.own.keyFile} --cert ${world.own.certFile}`;
    for (const command of [
      '--help',
      'messages list --help',
      `decode ${mail} ${key} --json`,
      `encode ${mail} --to ${world.own.certFile}`,
    ]) {
      const gone = spawnSync('sh', ['-c', `{ ${program} ${command}; echo $? >&2; } | exec true`], {
        encoding: 'utf8',
      });
      assert.equal(gone.stderr, '0\n', command);
      const full = spawnSync('sh', ['-c', `${program} ${command} > /dev/full`], { encoding: 'utf8' });
      assert.deepEqual(
        [full.status, full.stderr],
        [1, 'sealpost: cannot write to standard output: no space left [file-access]\n'],
      );
    }
    const silent = spawnSync('sh', ['-c', `${program} decode /nonexistent 2> /dev/full`], {
      encoding: 'utf8',
    });
    assert.equal(silent.status, 1);
  });
});
