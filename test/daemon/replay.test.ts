/** Messages that wait for a certificate or key go on by themselves: the running daemon, in both directions. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { blocksBelow, type DocBlock, sessionsOf, settled } from '../support/doc-blocks.ts';
import { freePort } from '../support/net.ts';
import {
  makeWorld,
  type Party,
  partnerHeader,
  skipWithout,
  textEntity,
  type World,
} from '../support/world.ts';

/** The section about it, whose files are written and whose commands are run as they stand. */
const section = blocksBelow('docs/partners.md', 'An expired certificate').filter(
  ({ kind }) => kind === 'yaml' || kind === 'console',
);

describe('replay by the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let next: Party;
  const partners = () => join(world.folder, 'partners');
  const out = (name: string) => join(partners(), `${name}-out`);
  before(async () => {
    world = makeWorld();
    next = world.party('next@own.example', { freshKey: true });
    for (const name of ['acme', 'bolt']) mkdirSync(out(name), { recursive: true });
    const issue = (name: string, year: number, serial: number) => {
      const end = serial === 10 ? `${year + 1}-02-14T23:59:59Z` : '2040-01-01T00:00:00Z';
      const dates = { notBefore: new Date(`${year}-02-15T00:00:00Z`), notAfter: new Date(end) };
      const issued = world.ca.issue({ ...dates, commonName: name.replace('-', ' '), serial, key: 'rsa2048' });
      writeFileSync(join(partners(), `${name}.pem`), issued.certPem);
    };
    issue('acme-2025', 2025, 10);
    issue('acme-2026', 2026, 11);
    writeFileSync(
      join(partners(), 'bolt.yaml'),
      'name: bolt\naddresses: [edi@bolt.example]\nfrom: orders@own.example\nidentity: orders\nroute: { folder: bolt-out }\n',
    );
    writeFile(section[0]);
    const { certFile, keyFile } = world.own;
    daemon = await startDaemon(world, {
      config: {
        // the listener stays at its port when the daemon is reloaded
        smtp: { listen: [{ port: await freePort() }], hostname: 'own.example', greetingDelay: '0ms' },
        identities: [{ name: 'orders', certificate: certFile, key: keyFile }],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    world?.remove();
  });

  /** A block of the page that is a file; its first line says which. */
  function writeFile(block: DocBlock | undefined): void {
    const name = /^# (partners\/\S+)$/.exec(block?.lines[0] ?? '')?.[1];
    assert.ok(block && name, 'a block that names its file');
    writeFileSync(join(world.folder, name), `${block.lines.join('\n')}\n`);
  }

  const run = async (...args: string[]) => {
    const ran = await daemon.command(args);
    assert.equal(ran.code, 0, ran.stderr.toString());
    return ran.stdout.toString();
  };
  const send = async (partner: string, text: string) =>
    (await run('send', '--partner', partner, world.file(`${text}.edi`, text))).trim();
  const sentTo = (name: string) =>
    readdirSync(out(name))
      .filter((each) => each.endsWith('.eml'))
      .sort();
  /** Without what differs from run to run, the widths of columns, and what is said of the other partner. */
  const alike = (text: string) =>
    settled(text)
      .replaceAll(world.folder, '/etc/sealpost')
      .replaceAll(/\b[0-9a-f]{16}\b/g, 'SHORT')
      .replaceAll(/ {2,}/g, '  ')
      .replaceAll(/ \d{3}\b/g, ' SIZE')
      .replaceAll(/^mail to partner bolt .*\n?/gm, '')
      .trim();

  /** Runs the commands of a block; each prints what the page says, once the daemon has come so far. */
  async function runs(block: DocBlock | undefined): Promise<void> {
    assert.ok(block);
    for (const { args, printed } of sessionsOf(block)) {
      let last = '';
      const isThere = async () => {
        last = alike(await run(...args));
        return last === alike(printed);
      };
      const patience = performance.now() + 120_000;
      while (!(await isThere()))
        if (performance.now() > patience) assert.equal(last, alike(printed), args.join(' '));
        else await sleep(100);
    }
  }

  it('goes on in order as docs/partners.md says when the certificate is there, and nothing of others', async () => {
    assert.deepEqual(
      section.map(({ kind }) => kind),
      ['yaml', 'console', 'yaml', 'console', 'console'],
    );
    const [, says, renewed, goesOn, byHand] = section;
    const first = await send('acme', 'first');
    const second = await send('acme', 'second');
    const other = await send('bolt', 'other');
    for (const id of [first, second, other])
      assert.equal((await daemon.reaches(id, 'suspended')).reason, 'encode-recipient', id);
    await runs(says);
    writeFile(renewed);
    await runs(goesOn);
    assert.equal(sentTo('acme').length, 2);
    // Both may be in hand at once: what has an order is their release.
    const released = (await daemon.queue.audit.list({})).filter(({ what }) => what === 'resume');
    assert.deepEqual(
      released.map(({ id }) => id),
      [second, first],
    );
    assert.equal((await daemon.queue.ledger.get(other))?.state, 'suspended');
    assert.deepEqual(sentTo('bolt'), []);
    await runs(byHand);
  });

  it('decodes again what it could not read when the key is there', async () => {
    const id = await daemon.accept(world.mail(textEntity('an order'), { to: next, header: partnerHeader() }));
    assert.equal((await daemon.reaches(id, 'suspended')).reason, 'decrypt-no-key');
    const config = parse(readFileSync(daemon.configFile, 'utf8'));
    config.identities.push({ name: 'next', certificate: next.certFile, key: next.keyFile });
    writeFileSync(daemon.configFile, stringify(config));
    await run('reload');
    const { events } = await daemon.reaches(id, 'delivered');
    assert.ok(
      events.some(({ type }) => type === 'decode-again'),
      events.map(({ type }) => type).join(),
    );
  });
});
