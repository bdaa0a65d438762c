/** Messages that wait for a certificate or key go on by themselves: the running daemon, in both directions. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import {
  makeWorld,
  type Party,
  partnerHeader,
  skipWithout,
  textEntity,
  type World,
} from '../support/world.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/partners.md'), 'utf8');
const section = /^## An expired certificate\n(.*?)(?=^## |(?![\s\S]))/ms.exec(page)?.[1] ?? '';

/** The commands of the section, in their words. */
const documented = [...section.matchAll(/^sealpost (messages replay.*)$/gm)].map(([, text = '']) =>
  (text.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", '')),
);

describe('replay by the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let next: Party;
  let expired: Party;
  let settings: Record<string, unknown>;
  const out = (name: string) => join(world.folder, `out-${name}`);
  before(async () => {
    world = makeWorld();
    next = world.party('next@own.example', { freshKey: true });
    const day = 86_400_000;
    expired = world.party('old@partner.example', {
      notBefore: new Date(Date.now() - 30 * day),
      notAfter: new Date(Date.now() - day),
    });
    const partner = (name: string, addresses: string[]) => {
      mkdirSync(out(name));
      return {
        ...{ name, addresses, identity: 'own', from: 'orders@own.example', route: { folder: out(name) } },
        certificates: [] as string[],
      };
    };
    // the listener stays at its port when the daemon is reloaded
    const smtp = { listen: [{ port: await freePort() }], hostname: 'own.example', greetingDelay: '0ms' };
    settings = {
      smtp,
      partners: [
        { ...partner('acme', ['edi@partner.example']), certificates: [expired.certFile] },
        partner('bolt', ['edi@bolt.example']),
      ],
    };
    daemon = await startDaemon(world, { config: settings });
  });
  after(async () => {
    await daemon?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const ran = await daemon.command(args);
    assert.equal(ran.code, 0, ran.stderr.toString());
    return ran.stdout.toString();
  };
  const send = async (partner: string, text: string) =>
    (await run('send', '--partner', partner, world.file(`${text}.edi`, text))).trim();
  /** Writes other settings, as a person edits the file. */
  const change = async (edit: (config: ReturnType<typeof parse>) => void) => {
    const config = parse(readFileSync(daemon.configFile, 'utf8'));
    edit(config);
    world.file(daemon.configFile.slice(world.folder.length + 1), stringify(config));
    await run('reload');
  };
  const sentTo = (name: string) =>
    readdirSync(out(name))
      .filter((each) => each.endsWith('.eml'))
      .sort();

  it('sends what waited when the certificate is there, in order, and nothing of others', async () => {
    const first = await send('acme', 'first');
    const second = await send('acme', 'second');
    const other = await send('bolt', 'other');
    for (const id of [first, second, other])
      assert.equal((await daemon.reaches(id, 'suspended')).reason, 'encode-recipient', id);

    const [preview = [], now = []] = documented;
    assert.deepEqual(
      [preview.slice(0, 3), now.slice(0, 2)],
      [
        ['messages', 'replay', '--dry-run'],
        ['messages', 'replay'],
      ],
    );
    const text = await daemon.waitFor('the daemon has looked', async () => {
      const printed = await run(...preview);
      return printed.includes('has no certificate in force') ? printed : undefined;
    });
    assert.match(text, new RegExp(`^${first}  encode-recipient  acme  waits: `, 'm'));
    assert.match(text, /^0 messages would be replayed, 2 waiting; nothing was done$/m);

    await change(({ partners }) => partners[0].certificates.push(world.partner.certFile));
    for (const id of [first, second]) await daemon.reaches(id, 'sent');
    assert.equal(sentTo('acme').length, 2);
    // Both may be in hand at once: what has an order is their release.
    const released = (await daemon.queue.audit.list({})).filter(({ what }) => what === 'resume');
    assert.deepEqual(
      released.map(({ id }) => id),
      [second, first],
    );
    assert.equal((await daemon.queue.ledger.get(other))?.state, 'suspended');
    assert.deepEqual(sentTo('bolt'), []);
    assert.match(await run(...now), /^0 messages replayed, 0 waiting$/m);
  });

  it('decodes again what it could not read when the key is there', async () => {
    const id = await daemon.accept(world.mail(textEntity('an order'), { to: next, header: partnerHeader() }));
    assert.equal((await daemon.reaches(id, 'suspended')).reason, 'decrypt-no-key');
    await change(({ identities }) =>
      identities.push({ name: 'next', certificate: next.certFile, key: next.keyFile }),
    );
    const { events } = await daemon.reaches(id, 'delivered');
    assert.ok(
      events.some(({ type }) => type === 'decode-again'),
      events.map(({ type }) => type).join(),
    );
  });
});
