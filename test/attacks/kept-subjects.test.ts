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
    const asked = await browser.get(`/messages?subject=${marker}`);
    assert.equal(asked.status, 403);
    // the answer is the same whether there is such a message
    const other = await browser.get('/messages?subject=nothing');
    assert.equal(other.status, 403);
    assert.ok(!(await browser.get('/messages')).text.includes('name="subject"'));
  });

  it('is for a person with that right, and found by a part of it', async () => {
    room.rights = { content: true };
    const { browser } = await room.person('olga', 'operator');
    for (const path of ['/messages', `/messages/${id}`, '/messages?subject=ZYLINDER']) {
      const { status, text } = await browser.get(path);
      assert.equal(status, 200, path);
      assert.ok(text.includes(`${marker} &lt;script`), path);
    }
    const none = await browser.get('/messages?subject=kolben');
    assert.ok(!none.text.includes(marker));
  });

  it('is for no client without the verb', async () => {
    const routes = messageRoutes({ config: testConfig(room.server), queue: room.queue });
    const call = async (client: Client, name: string, params: object, query: object) => {
      const route = routes.find((each) => each.name === name);
      assert.ok(route);
      const { request, response } = Object.create(null);
      const answer = await route.handle({ client, params, query, address: '', request, response });
      return JSON.stringify(answer);
    };
    const without = new Client('erp', { ...allGranted, verbs: verbs.filter((verb) => verb !== 'content') });
    const whole = new Client('all', allGranted);
    for (const [name, params] of [
      ['getMessage', { id }],
      ['listMessages', {}],
    ] as const) {
      assert.ok(!(await call(without, name, params, {})).includes(marker), name);
      assert.ok((await call(whole, name, params, {})).includes(marker), name);
    }
    await assert.rejects(call(without, 'listMessages', {}, { subject: marker }), { code: 'not-granted' });
    assert.ok((await call(whole, 'listMessages', {}, { subject: 'zyl' })).includes(id));
  });

  it('is in no event that is followed or posted', async () => {
    await room.queue.events.keep();
    await room.queue.ledger.note(id, { type: 'saved', at: Date.now(), facts: {} });
    const { events } = await room.queue.events.read('0-0');
    assert.ok(events.length > 0);
    assert.ok(!JSON.stringify(events).includes(marker));
    assert.ok(!JSON.stringify(events).includes('"t"'));
  });
});
