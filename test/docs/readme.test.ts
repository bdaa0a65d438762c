/**
 * README, "A first partner in five minutes" and "Without the daemon": its commands are run by a shell as they stand.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { blocksOf } from '../support/doc-blocks.ts';
import { freePort } from '../support/net.ts';
import { skipWithout } from '../support/world.ts';

const root = resolve(import.meta.dirname, '../..');

/** Blocks between two headings. */
function blocksBetween(from: string, to: string): string[] {
  const lines = readFileSync(join(root, 'README.md'), 'utf8').split('\n');
  const place = (heading: string) => lines.indexOf(heading) + 1;
  assert.ok(place(from) > 0 && place(to) > place(from), `${from}, ${to}`);
  return blocksOf('README.md')
    .map(({ place: at, lines: text }) => ({ line: Number(at.split(':')[1]), text: text.join('\n') }))
    .filter(({ line }) => line > place(from) && line < place(to))
    .map(({ text }) => text);
}

const tools = ['bash', 'openssl', 'curl', 'redis-server'];

describe('README', { skip: skipWithout(...tools), timeout: 1_800_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), 'sealpost-readme-'));
  after(() => rmSync(home, { recursive: true, force: true }));

  it('brings mail from and to a first partner, and decodes and encodes files, with its own commands', async () => {
    const steps = blocksBetween('## A first partner in five minutes', '## Without the daemon');
    const files = blocksBetween('## Without the daemon', '## Documents');
    assert.deepEqual([steps.length, files.length], [7, 1]);
    const end = steps.pop() ?? '';
    const ports = [await freePort(), await freePort()];
    // the end as a person would leave it, whatever came before
    const script = [
      'set -e',
      "trap 'kill $(jobs -p) 2>/dev/null' EXIT",
      ...[...steps, ...files].flatMap((text, at) => [`echo "== ${at + 1}"`, text]),
      'set +e',
      'echo "== end"',
      end.replaceAll('%1 %2', '$(jobs -p)'),
      'ls -d ~/sealpost-try 2>&1 | sed "s/.*No such.*/removed/"',
    ]
      .join('\n')
      .replaceAll('2525', String(ports[0]))
      .replaceAll('2526', String(ports[1]));
    const child = spawn('bash', ['-c', script], {
      cwd: root,
      env: { ...process.env, HOME: home, PWD: root, SEALPOST_CONFIG: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [text, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      errors += chunk;
    });
    const [code] = await once(child, 'close');
    const printed = text.split(/^== \w+\n/m).slice(1);
    assert.equal(printed.length, 8, `${code}\n${text}\n${errors}`);
    const [keys, check, , , received, sent, decoded, ended] = printed;
    assert.equal(keys, '');
    assert.match(check ?? '', /sealpost\.yaml: no problems\n$/);
    assert.match(received ?? '', /<order number="4711"\/>/);
    assert.match(received ?? '', /^i[0-9a-f]{31} .* in +delivered +acme +orders +\d+$/m);
    assert.match(sent ?? '', /^o[0-9a-f]{31}\n/);
    assert.match(sent ?? '', /filename="?confirmation\.edi/);
    assert.match(decoded ?? '', /"signature": "valid"/);
    assert.equal((ended ?? '').trim(), 'removed');
    // OpenSSL's own words about keys and signatures; nothing failed
    assert.doesNotMatch(errors, /sealpost: /);
  });
});
