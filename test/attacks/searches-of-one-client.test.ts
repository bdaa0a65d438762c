/** Searches that open or read record after record: many at a time of one client. */
import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { messageRoutes } from '../../src/api/messages.ts';
import { allGranted, Client } from '../../src/client/index.ts';
import { until } from '../support/net.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';
import { skipWithout } from '../support/world.ts';

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
    const look: typeof ledger.listAmong = async (query, among) => {
      const { subject, address } = query;
      const what = subject ?? address;
      if (what !== undefined) {
        await new Promise<void>((resolve) => running.set(what, resolve));
        running.delete(what);
      }
      return await ledger.listAmong(query, among);
    };
    const watched = new Proxy(ledger, {
      get(target, name) {
        if (name === 'listAmong') return look;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const list = messageRoutes({ config, queue: { ...queue, ledger: watched } }).find(
      ({ name }) => name === 'listMessages',
    );
    assert.ok(list);
    const ask = async (client: Client, query: Record<string, string>) => {
      const request = new IncomingMessage(new Socket());
      const response = new ServerResponse(request);
      await list.handle({ client, address: '', params: {}, query, request, response });
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
