/**
 * The running daemon, with slapd and unbound: mail waits for a partner without a certificate, `outbound` finds one by
 * itself, nothing is encrypted for it before a person has approved it, and then the mail leaves by itself.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { smimeaName } from '../../src/lookup/dns.ts';
import { parseMailbox } from '../../src/message/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Slapd, skipWithoutSlapd, startSlapd } from '../support/slapd.ts';
import { skipWithoutUnbound, startUnbound, type Unbound, type Zone } from '../support/unbound.ts';
import { makeWorld, openssl, type Party, skipWithout, type World } from '../support/world.ts';

const skip = skipWithout('openssl') || skipWithoutSlapd() || skipWithoutUnbound();

describe('certificates that the running daemon looks up', { skip }, () => {
  let world: World;
  let slapd: Slapd;
  let unbound: Unbound;
  let daemon: TestDaemon;
  const parties: Record<string, Party> = {};
  const out = (name: string) => join(world.folder, `${name}-out`);

  before(async () => {
    world = makeWorld();
    const names = ['acme', 'bolt', 'loose'];
    for (const name of names) {
      parties[name] = world.party(`edi@${name}.test`, { freshKey: true });
      mkdirSync(out(name));
    }
    const der = (name: string) => parties[name]?.certificate.der ?? Buffer.alloc(0);
    slapd = await startSlapd([{ name: 'acme', mail: 'edi@acme.test', certificates: [der('acme')] }]);
    const zone = (name: string, signed: boolean): Zone => {
      const label = smimeaName(parseMailbox(`edi@${name}.test`)).replace(`.${name}.test`, '');
      const value = der(name);
      const record = `${label} IN TYPE53 \\# ${value.length + 3} 030000${value.toString('hex')}`;
      return { name: `${name}.test`, signed, records: [record] };
    };
    unbound = await startUnbound([zone('bolt', true), zone('loose', false)]);
    daemon = await startDaemon(world, {
      config: {
        dns: { resolver: '127.0.0.1', port: unbound.port },
        lookup: {
          directories: [
            { name: 'ldap', kind: 'ldap', url: slapd.url, base: slapd.base, ca: slapd.tls.cert },
            { name: 'dns', kind: 'smimea' },
          ],
        },
        partners: names.map((name) => ({
          ...{ name, addresses: [`edi@${name}.test`], identity: 'own', from: 'orders@own.example' },
          ...{ lookup: ['ldap', 'dns'], route: { folder: out(name) } },
        })),
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await slapd?.stop();
    unbound?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const ran = await daemon.command(args);
    assert.equal(ran.code, 0, ran.stderr.toString());
    return ran.stdout.toString();
  };
  const send = async (partner: string) =>
    (await run('send', '--partner', partner, world.file(`${partner}.edi`, `for ${partner}`))).trim();
  const waiting = async (): Promise<{ partner: string; sha256: string; source: string; version: number }[]> =>
    JSON.parse(await run('certs', 'list', '--state', 'waiting', '--json'));
  const held = async (id: string) => {
    const { state, reason } = await daemon.reaches(id, 'suspended', 'sent');
    assert.deepEqual([state, reason], ['suspended', 'encode-recipient']);
  };

  it('wait for a person, and then their mail leaves by itself, and that of no other partner', async () => {
    const [acme, bolt, loose] = [await send('acme'), await send('bolt'), await send('loose')];
    for (const id of [acme, bolt, loose]) await held(id);
    const found = await daemon.waitFor('both are found', async () => {
      const all = await waiting();
      return all.length >= 2 ? all : undefined;
    });
    assert.deepEqual(
      found.map(({ partner, sha256, source }) => [partner, sha256, source]).sort(),
      [
        ['acme', parties.acme?.certificate.thumbprint, 'ldap'],
        ['bolt', parties.bolt?.certificate.thumbprint, 'dns'],
      ],
      'and none of a zone that nobody signed',
    );
    for (const id of [acme, bolt]) assert.equal((await daemon.queue.ledger.get(id))?.state, 'suspended');
    const approve = async (name: string) => {
      const one = found.find(({ partner }) => partner === name);
      assert.ok(one);
      const { sha256, version } = one;
      await run('certs', 'approve', sha256, '--sha256', sha256, '--compared', String(version));
    };
    await approve('acme');
    await daemon.reaches(acme, 'sent');
    await held(bolt);
    await approve('bolt');
    await daemon.reaches(bolt, 'sent');
    await held(loose);
    const [name = ''] = readdirSync(out('bolt')).filter((each) => each.endsWith('.eml'));
    const own = parties.bolt;
    assert.ok(own);
    const mail = readFileSync(join(out('bolt'), name));
    const signed = openssl(['cms', '-decrypt', '-recip', own.certFile, '-inkey', own.keyFile], mail);
    assert.match(
      openssl(['cms', '-verify', '-CAfile', world.anchorFile], signed).toString(),
      new RegExp(Buffer.from('for bolt').toString('base64')),
    );
  });

  it('same-name: are not encrypted for when another partner has got the name', async () => {
    const config = parse(readFileSync(daemon.configFile, 'utf8'));
    for (const partner of config.partners)
      if (partner.name === 'acme') Object.assign(partner, { addresses: ['edi@other.test'], lookup: [] });
    writeFileSync(daemon.configFile, stringify(config));
    await run('reload');
    await held(await send('acme'));
    await daemon.reaches(await send('bolt'), 'sent');
    await daemon.waitFor('health says so', async () =>
      /approved certificates .*partner acme .*had the addresses edi@acme\.test/.test(await run('health')),
    );
    assert.deepEqual(
      (await waiting()).map(({ partner, sha256 }) => [partner, sha256]),
      [['acme', parties.acme?.certificate.thumbprint]],
    );
  });
});
