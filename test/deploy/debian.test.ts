/** The Debian package: what is in it but the program and its dependencies, whose building takes minutes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runOk } from '../support/peers/run.ts';
import { skipWithout } from '../support/world.ts';

const root = resolve(import.meta.dirname, '../..');

describe('the Debian package', { skip: skipWithout('dpkg-deb') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-deb-'));
  const unpacked = join(folder, 'unpacked');
  let contents: string[][];
  before(async () => {
    await runOk(join(root, 'scripts/debian-package.sh'), ['--layout', '--out', folder, '--revision', '7']);
    const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.deb')) ?? '');
    assert.match(file, /sealpost_\d+\.\d+\.\d+-7_(?:amd64|arm64)\.deb$/);
    contents = spawnSync('dpkg-deb', ['--contents', file])
      .stdout.toString()
      .trim()
      .split('\n')
      .map((line) => line.split(/ +/));
    spawnSync('dpkg-deb', ['--raw-extract', file, unpacked]);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  const text = (name: string) => readFileSync(join(unpacked, name), 'utf8');

  it('belongs to root, and nobody else may write to it', () => {
    assert.ok(contents.length > 50);
    for (const [mode = '', owner, , , , name] of contents) {
      assert.equal(owner, 'root/root', name);
      if (!mode.startsWith('l')) assert.match(mode, /^[d-]rw[x-]r-[x-]r-[x-]$/, name);
    }
  });

  it('has the units, the user and the folders of this checkout', () => {
    const pairs: [string, string][] = [
      ['usr/lib/systemd/system/sealpost.service', 'sealpost.service'],
      ['usr/lib/systemd/system/sealpost@.service', 'sealpost@.service'],
      ['usr/lib/systemd/system/sealpost.target', 'sealpost.target'],
      ['usr/lib/sysusers.d/sealpost.conf', 'sysusers.conf'],
      ['usr/lib/tmpfiles.d/sealpost.conf', 'tmpfiles.conf'],
    ];
    for (const [packed, ours] of pairs)
      assert.equal(text(packed), readFileSync(join(root, 'deploy/systemd', ours), 'utf8'), packed);
    const drops = readdirSync(join(root, 'deploy/systemd')).filter((name) => name.endsWith('.service.d'));
    for (const name of drops)
      assert.ok(statSync(join(unpacked, 'usr/lib/systemd/system', name, 'role.conf')).isFile());
    assert.ok(drops.length > 0);
  });

  it('keeps the configuration of the operator: each file in /etc is a conffile', () => {
    const files = contents.filter(
      ([mode = '', , , , , name = '']) => mode.startsWith('-') && name.startsWith('./etc/'),
    );
    const conffiles = text('DEBIAN/conffiles').trim().split('\n');
    assert.deepEqual(
      files.map(([, , , , , name = '']) => name.slice(1)),
      conffiles,
    );
    // Data, keys and what is delivered are in no package, so no upgrade touches them.
    for (const [, , , , , name = ''] of contents) assert.equal(/^\.\/var\//.test(name), false, name);
  });

  it('has a page for each command, and scripts that a shell takes', () => {
    const pages = new Set(readdirSync(join(unpacked, 'usr/share/man/man1')));
    for (const name of [
      'sealpost',
      'sealpost-start',
      'sealpost-backup',
      'sealpost-restore',
      'sealpost-import',
    ])
      assert.ok(pages.has(`${name}.1.gz`), name);
    for (const name of ['postinst', 'prerm', 'postrm']) {
      const ran = spawnSync('sh', ['-n', join(unpacked, 'DEBIAN', name)]);
      assert.equal(ran.status, 0, `${ran.stderr}`);
      // A purge leaves mail that waits, and keys.
      assert.equal(/\brm\b/.test(text(`DEBIAN/${name}`)), false, name);
    }
    const control = text('DEBIAN/control');
    for (const line of [
      /^Package: sealpost$/m,
      /^Version: .*-7$/m,
      /^Depends: .*libstdc\+\+6/m,
      /^Recommends: redis-server/m,
    ])
      assert.match(control, line);
  });
});
