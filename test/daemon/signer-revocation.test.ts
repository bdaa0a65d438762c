/**
 * Mail whose signer nobody can be asked about: it waits while the list is away, and is judged when the list is there.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { der, oids } from '../../src/asn1/index.ts';
import type { TestExtension } from '../support/ca.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { startWeb, type Web } from '../support/web.ts';
import {
  makeWorld,
  type Party,
  partnerHeader,
  skipWithout,
  textEntity,
  type World,
} from '../support/world.ts';

const listAt = (url: string): TestExtension => ({
  oid: oids.cRLDistributionPoints,
  value: der.sequence(
    der.sequence(der.explicit(0, der.implicit(0, true, der.implicit(6, false, Buffer.from(url, 'latin1'))))),
  ),
});

describe('the list of an authority that is away', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let web: Web;
  let daemon: TestDaemon;
  before(async () => {
    world = makeWorld();
    web = await startWeb();
    const partner = { name: 'partner', addresses: ['edi@partner.example'], encrypt: false, sign: 'none' };
    daemon = await startDaemon(world, {
      config: {
        // the listener stays at its port when the daemon is reloaded
        smtp: { listen: [{ port: await freePort() }], hostname: 'own.example', greetingDelay: '0ms' },
        trust: {
          anchors: [world.anchorFile],
          revocation: { mode: 'hard', hosts: [web.host], allowPrivate: true, timeout: '30s' },
        },
        mailboxes: [
          {
            ...{ name: 'orders', addresses: ['orders@own.example'], require: ['signed'] },
            destinations: [{ type: 'directory', path: join(world.folder, 'inbox') }],
          },
          {
            ...{ name: 'ruled', addresses: ['ruled@own.example'] },
            policy: { require: ['trusted', 'bound'], shortfall: 'refuse' },
            destinations: [{ type: 'directory', path: join(world.folder, 'inbox') }],
          },
        ],
        // Who waits for the next attempt waits long: the test says when.
        retry: { attempts: 2, firstDelay: '1h', maxDelay: '1h' },
        partners: [{ ...partner, route: { host: '127.0.0.1', port: 9, tls: 'none' } }],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    web?.close();
    world?.remove();
  });

  const signer = (path: string, email = 'edi@partner.example') =>
    world.party(email, { extensions: [listAt(web.url(path))] });
  const accepted = async (by: Party, header = partnerHeader(), to = 'orders') =>
    await daemon.accept(world.mail(textEntity(`by ${by.email}`), { signer: by, header }), {
      to: [`${to}@own.example`],
    });
  /** Until the first attempt has failed. */
  const waits = async (id: string) => {
    const retried = await daemon.waitFor('it waits for the list', async () => {
      const record = await daemon.queue.ledger.get(id);
      assert.notEqual(record?.state, 'suspended', String(record?.reason));
      return record?.events.find(({ type }) => type === 'retried');
    });
    assert.equal(retried.facts.reason, 'signer-revocation');
    assert.match(String(retried.facts.message), /\.crl: the answer was 404/);
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'received');
  };

  it('holds mail of a partner, which is judged when the list is there, and suspended when it stays away', async () => {
    // a party of the same address replaces the files of the one before, so each writes at once
    const sent = async (name: string) => {
      const by = signer(`/${name}.crl`);
      return { id: await accepted(by), certificate: by.certificate };
    };
    const [good, revoked, never] = [await sent('good'), await sent('revoked'), await sent('never')];
    const ids = [good.id, revoked.id, never.id] as const;
    for (const id of ids) await waits(id);
    const listed = async () => {
      const { messages } = await daemon.queue.ledger.list({ partner: 'partner', direction: 'inbound' });
      return messages.map(({ id }) => id).filter((id) => ids.includes(id));
    };
    assert.deepEqual((await listed()).sort(), [...ids].sort(), 'what waits is in the list of its partner');
    const ruled = await accepted(signer('/ruled.crl'), partnerHeader(), 'ruled');
    await waits(ruled);
    web.answers.set('/good.crl', world.ca.crl({ revoked: [revoked.certificate] }));
    web.answers.set('/revoked.crl', world.ca.crl({ revoked: [revoked.certificate] }));
    // other processes, which do not know that the list was away a moment ago
    assert.equal((await daemon.command(['reload'])).code, 0);
    for (const id of ids) assert.equal((await daemon.command(['messages', 'retry', id])).code, 0);
    const { events } = await daemon.reaches(ids[0], 'delivered');
    assert.ok(events.some(({ facts }) => facts.signatureThumbprint === good.certificate.thumbprint));
    assert.equal((await daemon.reaches(ids[1], 'suspended')).reason, 'policy-refused');
    const away = await daemon.reaches(ids[2], 'suspended');
    assert.deepEqual(
      [away.reason, away.events.at(-1)?.facts.last],
      ['attempts-exhausted', 'signer-revocation'],
    );
    assert.deepEqual([away.partner, away.partnerBy], ['partner', 'address']);
    assert.deepEqual((await listed()).sort(), [...ids].sort());
    // counted once, when it was judged
    const [counted] = (await daemon.queue.ledger.used('partner', 2, Date.now())).filter(({ code }) =>
      code.startsWith('i'),
    );
    assert.equal(counted?.messages, 1);
  });

  it('is asked once about a broken signature, and about a stranger', async () => {
    const by = signer('/broken.crl');
    const mail = world.mail(textEntity('what is signed'), { signer: by, to: false, header: partnerHeader() });
    const changed = Buffer.from(
      mail.toString('latin1').replace('what is signed', 'what was signed'),
      'latin1',
    );
    const broken = await daemon.reaches(await daemon.accept(changed), 'suspended');
    assert.equal(broken.reason, 'signature-invalid');
    const stranger = signer('/stranger.crl', 'eve@stranger.example');
    const header = partnerHeader().replaceAll('edi@partner.example', 'eve@stranger.example');
    const { reason, events } = await daemon.reaches(await accepted(stranger, header), 'suspended');
    assert.equal(reason, 'policy-refused');
    assert.ok(events.every(({ type }) => type !== 'retried'));
  });
});
