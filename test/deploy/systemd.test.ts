/** The units of deploy/systemd, judged by systemd itself, and against what each role reads. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readConfig } from '../../src/config/load.ts';
import { roleNames } from '../../src/daemon/protocol.ts';

const folder = join(import.meta.dirname, '../../deploy/systemd');
const text = (name: string) => readFileSync(join(folder, name), 'utf8');
const units = ['sealpost.service', 'sealpost.target', ...roleNames.map((role) => `sealpost@${role}.service`)];
const services = units.filter((name) => name.endsWith('.service'));

const has = (program: string) => spawnSync(program, ['--version']).status === 0;
const peer = (program: string) =>
  process.env.CI === 'true' || has(program) ? {} : { skip: `${program} is not installed (package systemd)` };

function analyze(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, {
    // The colon at the end: systemd's own folders too.
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:`, SYSTEMD_COLORS: '0' },
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

/** What a role's unit has of a setting: the template, then the drop-in of the role. An empty value empties the list. */
function setting(role: string, name: string): string[] {
  const dropIn = `sealpost@${role}.service.d/role.conf`;
  const lines = text('sealpost@.service') + (existsSync(join(folder, dropIn)) ? text(dropIn) : '');
  const values: string[] = [];
  for (const [, value = ''] of lines.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))) {
    if (value === '') values.length = 0;
    values.push(...value.replaceAll('%i', role).split(' ').filter(Boolean));
  }
  return values;
}

describe('deploy/systemd', () => {
  it('is right for systemd, and what is wrong would be seen', peer('systemd-analyze'), () => {
    const found = analyze('verify', '--man=no', ...units);
    // what it says about units of others is not ours
    const said = (output: string) => output.split('\n').filter((line) => line.includes('sealpost'));
    assert.deepEqual([found.status, said(found.output)], [0, []]);
    const broken = mkdtempSync(join(tmpdir(), 'sealpost-unit-'));
    try {
      const file = join(broken, 'sealpost-broken.service');
      writeFileSync(file, text('sealpost.service').replace('ProtectSystem', 'ProtectSytem'));
      assert.match(said(analyze('verify', '--man=no', file).output).join(), /ProtectSytem/);
    } finally {
      rmSync(broken, { recursive: true });
    }
  });

  it('exposes each unit below 2.0', peer('systemd-analyze'), () => {
    const rate = (threshold: string) =>
      services.map((unit) => analyze('security', '--offline=true', `--threshold=${threshold}`, unit));
    for (const [index, { status, output }] of rate('19').entries())
      assert.equal(status, 0, `${services[index]}: ${output.trim().split('\n').at(-1)}`);
    assert.ok(rate('5').every(({ status }) => status !== 0));
  });

  it('shows private keys to decrypt and outbound only, and certificates to these and the doors over HTTP', () => {
    const readers = (path: string) =>
      roleNames.filter((role) => setting(role, 'BindReadOnlyPaths').includes(`-/etc/sealpost/${path}`));
    assert.deepEqual(readers('keys'), ['decrypt', 'outbound']);
    assert.deepEqual(readers('certs'), ['decrypt', 'outbound', 'api', 'console']);
    for (const role of roleNames) {
      assert.deepEqual(readers(`tls/${role}`), [role]);
      assert.deepEqual(setting(role, 'TemporaryFileSystem'), ['/etc/sealpost:ro']);
      assert.deepEqual(
        setting(role, 'EnvironmentFile'),
        ['all', role].map((name) => `-/etc/sealpost/env/${name}.env`),
      );
    }
  });

  it('gives the right to low ports to the receiver only', () => {
    for (const name of ['CapabilityBoundingSet', 'AmbientCapabilities'])
      assert.deepEqual(
        roleNames.filter((role) => setting(role, name).length > 0),
        ['receive'],
      );
  });

  it('reloads, as a whole and for each role', () => {
    for (const name of ['sealpost.service', 'sealpost@.service'])
      assert.match(text(name), /^ExecReload=\/usr\/bin\/env sealpost reload$/m, name);
  });

  it('has drop-ins for roles that exist, and drains before it kills', () => {
    const dropIns = readdirSync(folder).filter((name) => name.endsWith('.d'));
    for (const name of dropIns) assert.ok(units.includes(name.replace(/\.d$/, '')), name);
    const config = readConfig('mailboxes: []', 'sealpost.yaml').config;
    const drain = config?.workers.drainTimeout ?? Number.NaN;
    for (const name of ['sealpost.service', 'sealpost@.service']) {
      assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(text(name))?.[1]) * 1000 >= drain + 10_000, name);
      assert.match(text(name), /^KillMode=mixed$/m);
    }
  });

  const canMake = process.getuid?.() === 0 ? peer('systemd-tmpfiles') : { skip: 'needs root' };
  it('makes the user, and folders with keys that others cannot read', canMake, () => {
    const root = mkdtempSync(join(tmpdir(), 'sealpost-root-'));
    try {
      mkdirSync(join(root, 'etc'));
      for (const [program, ...args] of [
        ['systemd-sysusers', join(folder, 'sysusers.conf')],
        ['systemd-tmpfiles', '--create', join(folder, 'tmpfiles.conf')],
      ]) {
        const { status, stderr } = spawnSync(program ?? '', [`--root=${root}`, ...args], {
          encoding: 'utf8',
        });
        assert.equal(status, 0, stderr);
      }
      const [, gid] = /^sealpost:x:\d+:(\d+):/m.exec(readFileSync(join(root, 'etc/passwd'), 'utf8')) ?? [];
      const of = (path: string) => {
        const { mode, uid, gid: group } = lstatSync(join(root, path));
        return [(mode & 0o7777).toString(8), uid === 0, group === Number(gid)];
      };
      for (const path of ['keys', 'tls', 'tls/receive', 'tls/api'])
        assert.deepEqual(of(`etc/sealpost/${path}`), ['750', true, true], path);
      assert.deepEqual(of('etc/sealpost/env'), ['700', true, false]);
      assert.deepEqual(of('var/lib/delivered'), ['2750', false, true]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
