/**
 * A new certificate arrives at the running daemon: the commands of docs/partners.md are run as they are written there,
 * and what was decided counts in every role, also for mail that waits.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeSync } from '../../src/smime/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import {
  makeWorld,
  type Party,
  partnerHeader,
  skipWithout,
  textEntity,
  type World,
} from '../support/world.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/partners.md'), 'utf8');
const section = /^## A new certificate arrives\n(.*?)(?=^## |(?![\s\S]))/ms.exec(page)?.[1] ?? '';

/** Commands of the page that begin so, with the id and SHA-256 of the certificate that is there. */
function documented(verb: string, { thumbprint }: { thumbprint: string }): string[] {
  const [line] = section.split('\n').filter((each) => each.startsWith(`sealpost certs ${verb}`));
  assert.ok(line, `docs/partners.md has no command certs ${verb}`);
  const text = line
    .replace(/9f2c41d07be3a815\.\.\./g, thumbprint)
    .replace(/9f2c41d07be3a815/g, thumbprint.slice(0, 16));
  const [, ...words] = text.match(/'[^']*'|\S+/g) ?? [];
  return words.map((word) => word.replaceAll("'", ''));
}

describe('a new certificate at the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let renewed: Party;
  let out: string;
  before(async () => {
    world = makeWorld();
    renewed = world.party('edi2@partner.example', { freshKey: true });
    out = join(world.folder, 'out');
    mkdirSync(out);
    const partner = {
      name: 'acme',
      addresses: ['edi@partner.example', '@partner.example'],
      certificates: [world.partner.certFile],
      identity: 'own',
      from: 'orders@own.example',
      route: { folder: out },
    };
    daemon = await startDaemon(world, {
      config: {
        partners: [partner],
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            require: ['signed'],
            destinations: [{ type: 'directory', path: join(world.folder, 'daemon1', 'inbox') }],
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    world?.remove();
  });

  const certs = async (...args: string[]) => {
    const ran = await daemon.command(args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout.toString();
  };
  const receive = async (signer: Party) => {
    const id = await daemon.accept(world.mail(textEntity('an order'), { signer, header: partnerHeader() }));
    return await daemon.reaches(id, 'delivered', 'suspended');
  };
  const send = async (...more: string[]) => {
    const file = world.file(`order-${Math.random()}.edi`, "UNA:+.? '");
    return (await certs('send', '--partner', 'acme', ...more, file)).trim();
  };
  /** Who can read the mail that was sent. */
  const readers = (id: string) => {
    const name = readdirSync(out).find((each) => each.endsWith(`-${id}.eml`));
    assert.ok(name, `${id}.eml`);
    const mail = readFileSync(join(out, name));
    const trust = { anchors: [world.ca.certificate] };
    const reads = ({ identity }: Party) =>
      decodeSync(mail, { identities: [identity], at: new Date(), trust }).verdict.status === 'ok';
    return { old: reads(world.partner), renewed: reads(renewed) };
  };

  it('waits, and is approved with the commands of the page', async () => {
    const first = await receive(renewed);
    assert.equal(first.state, 'delivered', 'its issuer is trusted');
    const list = await daemon.waitFor('it waits', async () => {
      const text = await certs(...documented('list', renewed.certificate));
      return text.includes(renewed.certificate.thumbprint.slice(0, 16)) ? text : undefined;
    });
    assert.match(list, /waiting {2,}partner acme/);
    const shown = await certs(...documented('show', renewed.certificate));
    // What the page shows is what there is.
    for (const [, label] of section.matchAll(/^ {4}([a-zA-Z0-9-]+) {2,}\S/gm))
      assert.match(shown, new RegExp(`^${label} `, 'm'), label);
    assert.match(shown, /found +another key than those before/);

    const before = await send();
    await daemon.reaches(before, 'sent');
    assert.deepEqual(readers(before), { old: true, renewed: false });

    await certs(...documented('approve', renewed.certificate));
    await daemon.waitFor('mail is encrypted for it', async () => {
      // Mail that it signed shows that the partner has the key, once the approval is known.
      assert.equal((await receive(renewed)).state, 'delivered');
      const id = await send();
      await daemon.reaches(id, 'sent');
      return readers(id).renewed || undefined;
    });
  });

  it('counts for nothing once it is revoked, also for mail that waits', async () => {
    // On a busy machine the first of them may leave before the revocation is known.
    const waiting: { id: string; until: number }[] = [];
    for (const seconds of [6, 30, 120]) {
      const until = Date.now() + seconds * 1000;
      waiting.push({ id: await send('--not-before', new Date(until).toISOString()), until });
    }
    await certs(...documented('revoke', renewed.certificate));
    await certs('certs', 'revoke', world.partner.certificate.thumbprint, '--why', 'stolen as well');
    await daemon.waitFor('the revocation is known', async () => {
      const { state, reason } = await receive(renewed);
      if (state === 'suspended') assert.equal(reason, 'policy-refused');
      return state === 'suspended';
    });
    // Each process hears of it by itself, within a second or two.
    const known = Date.now() + 2000;
    const id = waiting.find(({ until }) => until > known)?.id ?? assert.fail('it took two minutes');
    const record = await daemon.reaches(id, 'sent', 'suspended');
    assert.deepEqual([record.state, record.reason], ['suspended', 'encode-recipient']);
  });
});
