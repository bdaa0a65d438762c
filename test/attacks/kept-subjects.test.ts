/** Subjects that are kept are content: of a mail that was encrypted, nobody reads them who may not read the mail. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { messageRoutes } from '../../src/api/messages.ts';
import { allGranted, Client, verbs } from '../../src/client/index.ts';
import { type ConsoleRoom, startConsoleRoom } from '../support/console.ts';
import { testConfig } from '../support/queue.ts';

const marker = 'Zylinderkopf';

describe('a kept subject', () => {
  let room: ConsoleRoom;
  let id = '';
  before(async () => {
    room = await startConsoleRoom();
    const writer = room.queue.intake.begin();
    await writer.write(Buffer.from('x'));
    const [sent] = await room.queue.intake.commitOutbound(writer, [
      {
        ...{ origin: { kind: 'api', detail: {} }, messageId: null, partner: 'acme' },
        envelope: { from: 'a@own.example', to: ['b@acme.example'] },
        subject: `${marker} <script>alert(1)</script>`,
      },
    ]);
    id = sent?.id ?? '';
  });
  after(() => room.stop());

  it('is on no page of a person who may not read content, who cannot search by it either', async () => {
    const { browser } = await room.person('vera', 'viewer');
    for (const path of ['/messages', `/messages/${id}`, '/messages?partner=acme', `/messages?id=${id}`]) {
      const { status, text } = await browser.get(path);
      assert.equal(status, 200, path);
      assert.ok(text.includes(id.slice(0, 10)), path);
      assert.ok(!text.includes(marker), path);
    }
    // the answer is the same whether there is such a message
    for (const subject of [marker, 'nothing']) {
      const { to } = await browser.post('/messages/search', { subject });
      assert.equal((await browser.get(to)).status, 403);
    }
    assert.ok(!(await browser.get('/messages')).text.includes('name="subject"'));
  });

  it('is for a person with that right, and found by a part of it', async () => {
    room.rights = { content: true };
    const { browser } = await room.person('olga', 'operator');
    await browser.get('/messages');
    const { to } = await browser.post('/messages/search', {
      subject: 'ZYLINDER',
      partner: 'acme',
      state: '',
    });
    for (const path of ['/messages', `/messages/${id}`, to]) {
      const { status, text } = await browser.get(path);
      assert.equal(status, 200, path);
      assert.ok(text.includes(`${marker} &lt;script`), path);
    }
    const none = await browser.post('/messages/search', { subject: 'kolben' });
    assert.ok(!(await browser.get(none.to)).text.includes(marker));
  });

  it('is for no client without the verb', async () => {
    const parts = { config: testConfig(room.server), queue: room.queue };
    const routes = messageRoutes({ ...parts, body: { timeout: 1000, minimumRate: 1 } });
    const call = async (client: Client, name: string, params: object, json: object = {}) => {
      const route = routes.find((each) => each.name === name);
      assert.ok(route);
      const { request, response } = Object.create(null);
      const facts = { client, params, query: {}, address: '', request, response, given: { json } };
      return JSON.stringify(await route.handle(facts));
    };
    const without = new Client('erp', { ...allGranted, verbs: verbs.filter((verb) => verb !== 'content') });
    const whole = new Client('all', allGranted);
    for (const [name, params] of [
      ['getMessage', { id }],
      ['listMessages', {}],
      ['searchMessages', {}],
    ] as const) {
      assert.ok(!(await call(without, name, params)).includes(marker), name);
      assert.ok((await call(whole, name, params)).includes(marker), name);
    }
    await assert.rejects(call(without, 'searchMessages', {}, { subject: marker }), { code: 'not-granted' });
    assert.ok((await call(whole, 'searchMessages', {}, { subject: 'zyl' })).includes(id));
    const none = await call(whole, 'searchMessages', {}, { subject: 'kolben' });
    assert.ok(!none.includes(id), 'it selects');
    // an address would keep it
    const list = routes.find(({ name }) => name === 'listMessages');
    const { request, response } = Object.create(null);
    const facts = { client: whole, params: {}, address: '', request, response };
    await assert.rejects(async () => await list?.handle({ ...facts, query: { subject: marker } }), {
      code: 'request-invalid',
    });
  });

  it('is in no event that is followed or posted', async () => {
    await room.queue.events.keep();
    await room.queue.ledger.note(id, { type: 'saved', at: Date.now(), facts: {} });
    const { events } = await room.queue.events.read('0-0');
    assert.ok(events.length > 0);
    assert.ok(!JSON.stringify(events).includes(marker));
    assert.ok(!JSON.stringify(events).includes('"t"'));
  });

  it('is in no address that a search leads to, whose pages and links go on with it, for one person', async () => {
    room.rights = { content: true };
    const { browser } = await room.person('piet', 'operator');
    const page = await browser.get('/messages');
    assert.match(page.text, /<form [^>]*method="post" action="\/messages\/search"/);
    for (let at = 0; at < 51; at++) {
      const writer = room.queue.intake.begin();
      await writer.write(Buffer.from(`${at}`));
      const envelope = { from: 'a@own.example', to: ['b@acme.example'] };
      const facts = {
        origin: { kind: 'api' as const, detail: {} },
        messageId: null,
        partner: 'acme',
        envelope,
      };
      await room.queue.intake.commitOutbound(writer, [{ ...facts, subject: `Kurbelwelle ${at}` }]);
    }
    const said = await browser.post('/messages/search', { subject: 'kurbelWELLE', partner: 'acme' });
    assert.equal(said.status, 303);
    assert.match(said.to, /^\/messages\?partner=acme&words=[\w-]+$/);
    const first = await browser.get(said.to);
    assert.match(first.text, /value="kurbelWELLE"/);
    assert.equal(first.text.match(/Kurbelwelle \d+/g)?.length, 50);
    const links = [...first.text.matchAll(/href="([^"]*)"/g)].map(([, to = '']) =>
      to.replaceAll('&amp;', '&'),
    );
    for (const to of links) assert.doesNotMatch(to, /kurbel|subject/i);
    const next = links.find((to) => to.includes('cursor='));
    assert.ok(next);
    assert.equal((await browser.get(next)).text.match(/Kurbelwelle \d+/g)?.length, 1);
    // an address of before, or written by hand
    const before = await browser.get('/messages?subject=kurbelwelle&state=queued');
    assert.equal(before.status, 303);
    assert.match(before.to, /^\/messages\?state=queued&words=[\w-]+$/);
    const other = await room.person('quin', 'operator');
    for (const to of [said.to, '/messages?words=made-up'])
      assert.equal((await other.browser.get(to)).status, 400, to);
    room.rights = {};
  });
});
