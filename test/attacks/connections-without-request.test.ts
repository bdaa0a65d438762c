/** Connections to the HTTP API that ask for nothing, from the address of somebody who wants to ask. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get as httpGet, type ServerResponse } from 'node:http';
import { get as httpsGet } from 'node:https';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Connections } from '../../src/api/connections.ts';
import { createListener } from '../../src/api/listener.ts';
import { Origins } from '../../src/api/origin.ts';
import { until } from '../support/net.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

describe('connections that ask for nothing', () => {
  let files: TlsFiles;
  before(async () => {
    files = await makeTlsFiles();
  });
  after(() => files?.remove());

  for (const over of ['clear text', 'TLS'] as const)
    it(`give way to who comes later, and requests do not, over ${over}`, async (t) => {
      const rules = { name: 'api', host: '127.0.0.1', hostnames: [], trustedProxies: [] } as const;
      const pair =
        over === 'TLS' ? { cert: readFileSync(files.cert), key: readFileSync(files.key) } : undefined;
      const origins = new Origins({ ...rules, tls: pair !== undefined });
      const held: ServerResponse[] = [];
      const server = createListener(
        ({ url }, response) => {
          if (url === '/held') held.push(response);
          else response.end('ok');
        },
        { tls: pair, origins, connections: 8, connectionsPerAddress: 4 },
      );
      await once(server.listen(0, '127.0.0.1'), 'listening');
      t.after(() => {
        server.closeAllConnections();
        server.close();
      });
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      const ask = (path: string) =>
        new Promise<string>((resolve) => {
          const options = { host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false };
          const get = over === 'TLS' ? httpsGet : httpGet;
          const request = get(options, (response) => {
            response.resume().once('end', () => resolve(String(response.statusCode)));
          });
          request.once('error', () => resolve('cut'));
        });
      const slow: Socket[] = [];
      const begin = async (text: string) => {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        socket.write(text);
        slow.push(socket.resume());
      };
      // Half a header, or of a handshake.
      for (let count = 0; count < 6; count += 1)
        await begin(over === 'TLS' ? '\x16\x03\x01' : 'GET / HTTP/1.1\r\nHost: ');
      const open = () => slow.filter(({ closed }) => !closed).length;
      await until('the oldest ones gave way', () => slow[0]?.closed === true && slow[1]?.closed === true);
      const closed = slow.map((each) => (each.closed ? 1 : 0));
      assert.deepEqual(
        closed,
        closed.toSorted((one, other) => other - one),
        'none before an older one',
      );
      for (let count = 0; count < 3; count += 1) assert.equal(await ask('/'), '200');
      // Those with a request stay: with as many of them as an address may have, nobody else comes in.
      const asked = [1, 2, 3, 4].map(() => ask('/held'));
      await until('they are asked for', () => held.length === 4);
      await until('the others gave way', () => open() === 0);
      assert.equal(await ask('/'), 'cut');
      held.pop()?.end();
      await Promise.race(asked);
      await until('there is room', async () => (await ask('/')) === '200');
      for (const each of held) each.end('late');
      assert.deepEqual(await Promise.all(asked), ['200', '200', '200', '200']);
    });

  it('count by networks of IPv6, and those of one give way to its own first', () => {
    const places = new Connections({ most: 5, mostEach: 2 });
    let ports = 0;
    const from = (remoteAddress: string) => {
      const closed: (() => void)[] = [];
      const socket = {
        ...{ remoteAddress, remotePort: ++ports, destroyed: false },
        once: (_event: string, listener: () => void) => closed.push(listener),
        destroy() {
          socket.destroyed = true;
          for (const each of closed) each();
        },
      };
      return socket;
    };
    const enter = (address: string, isProxy = false) => {
      const socket = from(address);
      return { socket, in: places.enter(socket, isProxy) };
    };
    const first = enter('192.0.2.1');
    const [a, b, c] = ['2001:db8::1', '2001:db8::2', '2001:db8::3'].map((each) => enter(each));
    assert.deepEqual(
      [first, a, b, c].map((each) => [each?.in, each?.socket.destroyed]),
      [
        [true, false],
        [true, true],
        [true, false],
        [true, false],
      ],
    );
    // All together: the oldest of anybody, and of a proxy as well.
    const proxies = [1, 2, 3].map(() => enter('10.0.0.1', true));
    assert.ok(proxies.every((each) => each.in));
    assert.equal(first.socket.destroyed, true);
    const ends = [...proxies, b, c].map((each) => (each ? places.begin(each.socket) : () => undefined));
    assert.equal(enter('192.0.2.9').in, false, 'all of them have a request');
    ends.at(0)?.();
    assert.equal(enter('192.0.2.9').in, true);
    assert.equal(proxies[0]?.socket.destroyed, true);
  });
});
