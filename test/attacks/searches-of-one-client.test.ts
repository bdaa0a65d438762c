/** Searches that open or read record after record: many at a time of one client, and acts on what they find. */
import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { bulkRoutes } from '../../src/api/bulk.ts';
import { messageRoutes } from '../../src/api/messages.ts';
import { preview } from '../../src/api/overview-schemas.ts';
import { allGranted, Client } from '../../src/client/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { until } from '../support/net.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';
import { skipWithout } from '../support/world.ts';

type Lists = QueueRoom['ledger']['listAmong'];

/** The ledger with lists of the test. */
function withLists(ledger: QueueRoom['ledger'], lists: Lists): QueueRoom['ledger'] {
  return new Proxy(ledger, {
    get(target, name) {
      if (name === 'listAmong') return lists;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('acts on many messages, with a filter that selects few', {
  skip: skipWithout('redis-server'),
}, () => {
  /** Lists of so many pages, of which none has a message; and how many were read, by state. */
  function sparse(pages: number) {
    const read: string[] = [];
    const listAmong: Lists = async ({ state = 'sent', cursor }) => {
      read.push(`${state} ${cursor ?? ''}`);
      const at = Number(cursor?.split('.')[0] ?? 0) + 1;
      return { messages: [], cursor: at < pages ? `${at}.i0` : null };
    };
    return { read, listAmong };
  }

  it('look through so much for a call, and go on where they stopped, state by state', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server);
    t.after(() => queue.close());
    const config = testConfig(server, { mailboxes: [] });
    const { read, listAmong } = sparse(30);
    const body = { timeout: 1000, minimumRate: 1 };
    const ledger = withLists(queue.ledger, listAmong);
    const routes = bulkRoutes({ config, queue: { ...queue, ledger }, body });
    const route = routes.find(({ name }) => name === 'previewActs');
    assert.ok(route);
    const client = new Client('erp', allGranted, 'a token');
    const ask = async (query: Record<string, string>) => {
      const request = new IncomingMessage(new Socket());
      const response = new ServerResponse(request);
      const answer = await route.handle({ client, address: '', params: {}, query, request, response });
      assert.ok('json' in answer);
      return preview.parse(answer.json);
    };
    const filter = { act: 'retry', partner: 'acme', mailbox: 'orders' };
    let [calls, cursor] = [0, ''];
    for (;;) {
      const before = read.length;
      const found = await ask({ ...filter, ...(cursor !== '' && { cursor }) });
      calls += 1;
      assert.ok(read.length - before <= 20, `${read.length - before} pages for one call`);
      assert.equal(found.more, found.cursor !== null);
      if (found.cursor === null) break;
      ({ cursor } = found);
    }
    // three states of thirty pages: each page once
    assert.equal(new Set(read).size, 90);
    assert.deepEqual([read.length, calls], [90, 5]);
    await assert.rejects(ask({ ...filter, cursor: 'suspended.1.i0' }), { code: 'request-invalid' });
  });
});

describe('searches of one client', { skip: skipWithout('redis-server') }, () => {
  it('are done one after the other, and hold up no other client and no list', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server);
    t.after(() => queue.close());
    const config = testConfig(server, { mailboxes: [] });
    /** What each search that runs waits for, by what it looks for. */
    const running = new Map<string, () => void>();
    let [most, done] = [0, 0];
    const { ledger } = queue;
    const look: Lists = async (query, among) => {
      const { subject, address } = query;
      const what = subject ?? address;
      if (what !== undefined) {
        await new Promise<void>((resolve) => running.set(what, resolve));
        running.delete(what);
      }
      return await ledger.listAmong(query, among);
    };
    const watched = withLists(ledger, look);
    const body = { timeout: 1000, minimumRate: 1 };
    const search = messageRoutes({ config, queue: { ...queue, ledger: watched }, body }).find(
      ({ name }) => name === 'searchMessages',
    );
    assert.ok(search);
    const ask = async (client: Client, json: Record<string, string>) => {
      const request = new IncomingMessage(new Socket());
      const response = new ServerResponse(request);
      const facts = { client, address: '', params: {}, query: {}, request, response };
      await search.handle({ ...facts, given: { json } });
      done += 1;
    };
    const [a, b] = ['a', 'b'].map((name) => new Client(name, allGranted, `token of ${name}`));
    assert.ok(a && b);
    const all = Array.from({ length: 20 }, (_, at) =>
      ask(a, at % 2 === 0 ? { subject: `a${at}` } : { address: `a${at}@x.example` }),
    );
    await until('one runs', () => running.size > 0);
    await ask(a, { state: 'suspended' });
    const other = ask(b, { subject: 'b' });
    await until('that of the other client runs as well', () => running.has('b'));
    running.get('b')?.();
    await other;
    while (done < 22) {
      await until('the next one runs', () => running.size > 0 || done === 22);
      most = Math.max(most, running.size);
      for (const end of running.values()) end();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(all);
    assert.equal(most, 1);
  });
});
