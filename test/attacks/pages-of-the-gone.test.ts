/** Pages of events that are asked for by somebody who goes away at once, again and again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { it } from 'node:test';
import { Places } from '../../src/api/places.ts';
import { Streams } from '../../src/api/streams.ts';
import { allGranted, Client } from '../../src/client/index.ts';
import { until } from '../support/net.ts';

it('pages of events that nobody waits for any more are not read', async (t) => {
  const client = new Client('erp', allGranted, 'token');
  const first = Promise.withResolvers<void>();
  let [reads, arrived, gone] = [0, 0, 0];
  const streams = new Streams({
    places: new Places({ seal: () => Buffer.of(1), unseal: () => '', deriveKey: () => Buffer.alloc(32) }),
    events: {
      ...{ keep: async () => undefined, newest: async () => '0-0', position: async () => undefined },
      ...{ moveTo: async () => undefined, claim: async () => true, release: async () => undefined },
      async read() {
        reads += 1;
        if (reads === 1) await first.promise;
        return { events: [], last: '1-0', more: false, missed: false };
      },
    },
    registry: { again: () => client, onChange: () => () => true },
    onFailure: () => undefined,
  });
  const server = createServer(async (request, response) => {
    response.once('close', () => {
      if (!response.writableFinished) gone += 1;
    });
    const call = { client, address: '', params: {}, query: {}, request, response };
    const answer = streams.route.handle(call);
    arrived += 1;
    const done = await answer.catch(() => undefined);
    response.end(done && 'json' in done ? 'page' : '');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const ask = () => {
    const request = httpRequest({ host: '127.0.0.1', port, agent: false }).on('error', () => undefined);
    request.end();
    return request;
  };

  const slow = once(ask(), 'response');
  await until('the first page is read', () => reads === 1);
  const left = Array.from({ length: 20 }, ask);
  await until('the others wait', () => arrived === 21);
  for (const each of left) each.destroy();
  await until('they have gone', () => gone === 20);
  const last = once(ask(), 'response');
  await until('the last one waits', () => arrived === 22);
  first.resolve();
  for (const answer of [await slow, await last]) answer[0].resume();
  assert.equal(reads, 2, 'the first and the last');
});
