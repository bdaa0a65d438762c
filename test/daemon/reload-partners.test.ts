/** A reload with partners: what is wrong with one touches nobody else, and what is wrong with the files refuses. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('reload with partners', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let folder: string;
  let out: string;
  const place = (name: string) => join(folder, `${name}.yaml`);
  const write = (name: string, certificate: string, more: Record<string, unknown> = {}) =>
    writeFileSync(
      place(name),
      stringify({
        ...{ name, addresses: [`edi@${name}.example`], certificates: [certificate], identity: 'own' },
        ...{ from: 'orders@own.example', route: { folder: out }, ...more },
      }),
    );
  before(async () => {
    world = makeWorld();
    out = join(world.folder, 'out');
    folder = join(world.folder, 'partners');
    for (const each of [out, folder]) mkdirSync(each);
    const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
    write('acme', world.partner.certFile);
    write('globex', world.party('edi@globex.example', { notBefore: ago(2), notAfter: ago(1) }).certFile);
    daemon = await startDaemon(world);
  });
  after(async () => {
    await daemon?.stop();
    world?.remove();
  });
  const send = async (partner: string) => {
    const ran = await daemon.command(['send', '--partner', partner, world.file('order.edi', 'UNA')]);
    assert.equal(ran.code, 0, ran.stderr);
    return await daemon.reaches(ran.stdout.toString().trim(), 'sent', 'suspended');
  };

  it('starts, and goes on, when the certificate of one has expired: its mail alone waits', async () => {
    assert.equal((await send('acme')).state, 'sent');
    assert.equal((await send('globex')).state, 'suspended');
    const checked = await daemon.command(['check']);
    assert.equal(checked.code, 1, 'check still calls it an error');
    write('acme', world.partner.certFile, { formerNames: ['acme-inc'] });
    const ran = await daemon.command(['reload']);
    assert.equal(ran.code, 0, ran.stderr);
    const [first, second, ...more] = ran.stdout.toString().trim().split('\n');
    assert.match(first ?? '', /in force/);
    assert.match(
      second ?? '',
      /^mail to partner globex waits: \S+globex\.yaml:\d+:\d+: error: .*expired on .*ask the partner/,
    );
    assert.deepEqual(more, []);
    assert.match(daemon.log(), /"level":40,.*mail to partner globex waits/);
    assert.equal((await send('acme-inc')).state, 'sent');
  });

  it('refuses what is wrong with the files themselves, and names the file', async () => {
    const pids = () => daemon.roles().map(({ pid }) => pid);
    const before = pids();
    for (const [certificate, more, said] of [
      [world.partner.certFile, { adress: 'x' }, /initech\.yaml:\d+:\d+: error: adress/],
      [join(folder, 'nowhere.pem'), {}, /initech\.yaml:\d+:\d+: error: certificates\[0\].*nowhere\.pem/],
      [place('acme'), {}, /initech\.yaml:\d+:\d+: error: certificates\[0\].*acme\.yaml/],
    ] as const) {
      write('initech', certificate, more);
      const ran = await daemon.command(['reload']);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, said);
    }
    assert.deepEqual(pids(), before);
    rmSync(place('initech'));
  });
});
