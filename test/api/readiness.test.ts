/** Replays and readiness over HTTP: previews, acts by their grant, and only what the client may see. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startApi, type TestApi } from '../support/api.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity } from '../support/world.ts';

describe('replays and readiness over HTTP', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let api: TestApi;
  let tokens: Record<'acme' | 'bolt' | 'looks' | 'mailbox' | 'approves', string>;
  before(async () => {
    const partner = (name: string, more = {}) => {
      const folder = join(world.folder, `out-${name}`);
      mkdirSync(folder);
      return {
        ...{ name, addresses: [`edi@${name}.example`], identity: 'own', from: 'orders@own.example' },
        ...{ certificates: [], route: { folder }, ...more },
      };
    };
    api = await startApi(world, {
      args: ['--only', 'api,receive,decrypt,outbound,handoff'],
      config: {
        partners: [
          partner('acme'),
          partner('bolt'),
          partner('partner', { addresses: ['edi@partner.example'], certificates: [world.partner.certFile] }),
        ],
        // only what is asked for over HTTP
        retry: { onKeys: { enabled: false } },
      },
    });
    const scope = (verbs: string, ...more: string[]) => ['--scope', verbs, ...more];
    tokens = {
      acme: await api.token('acme', ...scope('send,read,replay', '--partner', 'acme')),
      bolt: await api.token('bolt', ...scope('send,read,replay', '--partner', 'bolt')),
      looks: await api.token('looks', ...scope('read,certificates', '--partner', 'acme,partner')),
      mailbox: await api.token('mailbox', ...scope('read,replay', '--mailbox', 'orders')),
      approves: await api.token('approves', ...scope('certificates,approve', '--partner', '*')),
    };
  });
  after(async () => {
    await api?.daemon.stop();
    world.remove();
  });

  const post = (token: string, path: string, body: unknown) =>
    api.call(token, path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const submitted = async (token: string, partner: string) => {
    const { json } = await api.post(token, { partner, subject: 'order', text: 'order' });
    const { id } = json.messages[0];
    assert.equal((await api.daemon.reaches(id, 'suspended')).reason, 'encode-recipient');
    return String(id);
  };
  const idsOf = ({ json }: { json: { messages: { id: string }[] } }) => json.messages.map(({ id }) => id);

  it('shows a client what of its own waits, and why; and replays that alone, with its name in the audit trail', async () => {
    const [first, second] = [await submitted(tokens.acme, 'acme'), await submitted(tokens.acme, 'acme')];
    const other = await submitted(tokens.bolt, 'bolt');
    const approve = async (partner: string) => {
      const pem = world.party(`edi@${partner}.example`).certificate.toPem();
      assert.equal((await post(tokens.approves, '/v1/certificates', { partner, pem })).status, 200);
    };
    // The daemon looks at what waits when a certificate was decided about, also at those of others.
    await approve('bolt');
    const preview = await api.daemon.waitFor('the daemon has looked', async () => {
      const found = await api.call(tokens.acme, '/v1/replay');
      return /no certificate to encrypt for/.test(found.text) ? found : undefined;
    });
    assert.equal(preview.status, 200);
    assert.deepEqual([preview.json.replayed, preview.json.waiting], [0, 2]);
    assert.deepEqual(idsOf(preview), [first, second]);
    assert.deepEqual(idsOf(await api.call(tokens.acme, '/v1/replay?partner=bolt')), []);
    assert.deepEqual(idsOf(await api.call(tokens.acme, '/v1/replay?reason=decrypt-no-key')), []);
    assert.equal((await api.call(tokens.acme, '/v1/replay?reason=internal')).status, 400);
    // a mailbox is no partner
    assert.deepEqual(idsOf(await api.call(tokens.mailbox, '/v1/replay')), []);

    await approve('acme');
    await api.daemon.waitFor('both would go on', async () => {
      const [mine, theirs] = [
        await api.call(tokens.acme, '/v1/replay'),
        await api.call(tokens.bolt, '/v1/replay'),
      ];
      return mine.json.replayed === 2 && theirs.json.replayed === 1 ? true : undefined;
    });
    // a preview did nothing, and to look is not to act
    assert.equal((await api.daemon.queue.ledger.get(first))?.state, 'suspended');
    const refused = await post(tokens.looks, '/v1/replay', {});
    assert.deepEqual([refused.status, refused.json.code], [403, 'not-granted']);
    assert.equal((await post(tokens.acme, '/v1/replay', { all: true })).status, 400);

    const done = await post(tokens.acme, '/v1/replay', { why: 'acme has renewed' });
    assert.deepEqual([done.status, done.json.replayed, idsOf(done)], [200, 2, [first, second]]);
    for (const id of [first, second]) await api.daemon.reaches(id, 'sent');
    assert.equal((await api.daemon.queue.ledger.get(other))?.state, 'suspended');
    const [entry] = await api.daemon.queue.audit.list({ id: first });
    assert.deepEqual(
      [entry?.what, entry?.why, entry?.by.startsWith('client acme, token ')],
      ['resume', 'acme has renewed', true],
    );
    assert.deepEqual((await post(tokens.acme, '/v1/replay', {})).json.messages, []);
  });

  it('shows inbound mail to who may see the mailbox, and to nobody else', async () => {
    const stranger = world.party('next@own.example', { freshKey: true });
    const mail = world.mail(textEntity('an order'), { to: stranger, header: partnerHeader() });
    const id = await api.daemon.accept(mail);
    assert.equal((await api.daemon.reaches(id, 'suspended')).reason, 'decrypt-no-key');
    assert.deepEqual(idsOf(await api.call(tokens.mailbox, '/v1/replay?reason=decrypt-no-key')), [id]);
    assert.deepEqual(idsOf(await api.call(tokens.mailbox, '/v1/replay?mailbox=others')), []);
    assert.deepEqual(idsOf(await api.call(tokens.looks, '/v1/replay')), []);
  });

  it('shows which profiles the partners of a client meet, what was seen of them, and what they announced', async () => {
    const id = await api.daemon.accept(world.mail(textEntity('signed'), { header: partnerHeader() }));
    await api.daemon.reaches(id, 'delivered');
    const found = await api.daemon.waitFor('what it announced is known', async () => {
      const { json } = await api.call(tokens.looks, '/v1/readiness');
      return json.partners.some(({ announced }: { announced: unknown }) => announced !== null)
        ? json
        : undefined;
    });
    const [acme, partner] = found.partners;
    assert.deepEqual(
      [found.partners.length, acme.partner, partner.partner, found.next],
      [2, 'acme', 'partner', null],
    );
    assert.deepEqual([acme.sent.messages, acme.received.messages, partner.received.messages], [2, 0, 1]);
    assert.equal(partner.announced.ciphers[0], 'aes-256-cbc');
    assert.ok(Math.abs(Date.parse(partner.announced.at) - Date.now()) < 600_000);
    // what the command says, which has the keys
    const ran = await api.daemon.command(['partners', 'matrix', '--json', '--partner', 'partner']);
    const [row] = JSON.parse(ran.stdout.toString()).partners;
    assert.deepEqual(partner, row);
    assert.ok(partner.profiles.some(({ meets }: { meets: boolean }) => meets));
    const text = (await api.daemon.command(['partners', 'matrix', '--partner', 'partner'])).stdout.toString();
    assert.match(text, /^ {2}announced aes-256-cbc, .* \(on \d{4}-\d\d-\d\d\)$/m);
  });

  it('judges a day, has as many days of traffic as asked for, and hides what is not granted', async () => {
    const on = async (query: string) => await api.call(tokens.looks, `/v1/readiness?${query}`);
    const late = await on('partner=ACME&at=2099-01-01');
    assert.deepEqual([late.json.at, late.json.partners.length], ['2099-01-01', 1]);
    assert.match(late.json.partners[0].profiles[0].blocked, /expired/);
    assert.equal((await on('partner=acme')).json.partners[0].profiles[0].blocked, null);
    assert.deepEqual((await on('after=acme')).json.partners.length, 1);
    for (const query of ['at=tomorrow', 'days=0', 'days=93', 'all=1'])
      assert.equal((await on(query)).status, 400, query);
    const [foreign, unknown] = [await on('partner=bolt'), await on('partner=none')];
    assert.deepEqual([foreign.status, unknown.status], [404, 404]);
    assert.equal(foreign.text.replaceAll('bolt', 'X'), unknown.text.replaceAll('none', 'X'));
    assert.equal((await api.call(tokens.acme, '/v1/readiness')).status, 403);
  });
});
