/** Control characters of a message reached the terminal: one moved the cursor up and wrote another verdict over it. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { reportError } from '../../src/commands/report.ts';
import { describeVerdict } from '../../src/commands/verdict-text.ts';
import { SealpostError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { printable, printableJson } from '../../src/printable.ts';
import { command } from '../support/command.ts';
import { sealpost } from '../support/daemon.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const root = resolve(import.meta.dirname, '../..');
/** C0 but the line feed that ends each line, DEL, C1, bidirectional and invisible characters, other line ends. */
const characters = String.raw`\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0001}`;
const hostile = new RegExp(`[${characters}]`, 'u');
const attack =
  'x\u001b[2K\u001b[1Adecoded; signature: valid\r\n\u009b2J\u202egpj.exe\u2028\u007f\u0000\u{e0001}\u200f';

describe('text of strangers on a terminal', () => {
  it('is one line without a control, and shows what was there', () => {
    assert.equal(printable('a\u001b[1A\n\u009bb\u202ec'), 'a\\u{1b}[1A\\u{a}\\u{9b}b\\u{202e}c');
    assert.doesNotMatch(printable(attack), hostile);
    assert.doesNotMatch(printable(attack), /\n/);
    assert.equal(printable('Grüße, Ελλάδα, 日本, \\ "x"'), 'Grüße, Ελλάδα, 日本, \\ "x"');
    assert.equal(printable('\ud800'), '\\u{d800}');
  });

  it('is the same value in JSON', () => {
    const value = { [attack]: [attack, 'Grüße'] };
    for (const indent of [0, 2]) {
      const json = printableJson(JSON.stringify(value, null, indent));
      assert.deepEqual(JSON.parse(json), value);
      assert.doesNotMatch(json, hostile);
      assert.match(json, /Grüße/);
    }
  });

  it('is escaped in errors and their hints, and in the log', (t) => {
    const written: string[] = [];
    t.mock.method(process.stderr, 'write', (text: string) => written.push(text) > 0);
    reportError(new SealpostError('imap-failed', attack, { hint: attack }));
    reportError(new Error(attack));
    t.mock.restoreAll();
    const log = createLog('info', 'test', { write: (line) => void written.push(line) });
    log.info({ reply: attack }, attack);
    assert.doesNotMatch(written.join(''), hostile);
    assert.equal(JSON.parse(written.at(-1) ?? '').reply, attack);
    assert.deepEqual(
      written.slice(0, 2).map((line) => line.split('\n').length),
      [2, 2],
    );
  });

  it('has no other way to the terminal', () => {
    const direct = globSync(['src/**/*.ts', 'workers/*.ts'], { cwd: root }).filter((file) =>
      /process\.std(?:out|err)\.write|\bconsole\.(?:log|info|warn|error|debug|dir|table|trace)\b/.test(
        readFileSync(join(root, file), 'utf8'),
      ),
    );
    assert.deepEqual(direct, ['src/commands/output.ts']);
  });
});

describe('sealpost decode on a hostile message', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  after(() => world.remove());

  it('prints no control character, in no form', async () => {
    const type = `text/plain${attack.replace(/[\r\n]/g, '')}`;
    const mail = world.mail(`Content-Type: ${type}\r\n\r\nx\r\n`, { signer: false });
    const file = world.file('mail.eml', mail);
    const args = ['decode', file, '--key', world.own.keyFile, '--cert', world.own.certFile];
    const ran = await sealpost(args);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout.toString(), /^content: \d+ octets, .*\\u\{1b\}\[2k/m);
    assert.doesNotMatch(ran.stdout.toString(), hostile);
    const json = await command([...args, '--json']);
    assert.doesNotMatch(json.stdout.toString(), hostile);
    assert.ok(JSON.parse(json.stdout.toString()).content.contentType.includes('\u001b'));
    const missing = await command(['decode', join(world.folder, 'no\u001b[1Asuch\nfile'), '--out', '-']);
    assert.equal(missing.code, 1);
    assert.doesNotMatch(missing.stderr, hostile);
    assert.match(
      missing.stderr,
      /no\\u\{1b\}\[1Asuch\\u\{a\}file: there is no such file \[file-access\]\nhint: [^\n]+\n$/,
    );
  });

  it('describes a verdict in lines that commands print one by one', async () => {
    const { decodeSync } = await import('../../src/smime/index.ts');
    const plain = Buffer.from('Content-Type: text/plain\r\n\r\nx\r\n');
    const { verdict } = decodeSync(plain, { identities: [], trust: { anchors: [] }, at: new Date() });
    assert.ok(describeVerdict(verdict, attack).some((line) => line === `detail: ${attack}`));
  });
});
