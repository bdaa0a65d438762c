/** Clients that connect and never finish a TLS handshake, or vanish in the middle of one. */
import assert from 'node:assert/strict';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { until } from '../support/net.ts';
import { RawClient, startReceiver } from '../support/smtp.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

interface Silent {
  socket: Socket;
  closed: boolean;
}

const opened: Socket[] = [];

async function silent(port: number, localAddress: string): Promise<Silent> {
  const socket = connectTcp({ port, host: '127.0.0.1', localAddress });
  opened.push(socket);
  const client = { socket, closed: false };
  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.on('close', () => {
    client.closed = true;
  });
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
  return client;
}

describe('connections that never finish their TLS handshake', () => {
  let tls: TlsFiles;
  before(async () => {
    tls = await makeTlsFiles();
  });
  after(() => {
    for (const socket of opened) socket.destroy();
    tls.remove();
  });

  const smtp = (more: Record<string, unknown>) => ({
    listen: [{ port: 0, implicitTls: true }, { port: 0 }],
    tls: { cert: tls.cert, key: tls.key },
    ...more,
  });

  /** The greeting that a client of that address gets over implicit TLS; '' when it is turned away. */
  async function greeting(port: number, localAddress: string): Promise<string> {
    const socket: TLSSocket = connectTls({
      socket: connectTcp({ port, host: '127.0.0.1', localAddress }),
      ca: tls.pem,
      servername: 'localhost',
    });
    return new Promise((resolve) => {
      socket.once('data', (octets) => resolve(octets.toString()));
      socket.once('close', () => resolve(''));
      socket.on('error', () => {});
    }).then((text) => {
      socket.destroy();
      return String(text);
    });
  }

  it('one client fills no more than its own share, before any handshake', async () => {
    const limits = { maxConnections: 10, maxConnectionsPerClient: 4 };
    const { receiver, ports } = await startReceiver(smtp(limits));
    const port = ports[0] ?? 0;
    const crowd = await Promise.all(Array.from({ length: 12 }, () => silent(port, '127.0.0.1')));
    await until('eight of twelve are turned away', () => crowd.filter(({ closed }) => closed).length === 8);
    assert.equal(await greeting(port, '127.0.0.1'), '', 'the client has its share already');
    assert.match(await greeting(port, '127.0.0.2'), /^220 mx\.example\.com ESMTP/);
    // the limit in all holds over both listeners, at accept too
    const others = await Promise.all([
      ...Array.from({ length: 4 }, () => silent(port, '127.0.0.3')),
      ...Array.from({ length: 4 }, () => silent(ports[1] ?? 0, '127.0.0.4')),
    ]);
    await until('ten are open', () => [...crowd, ...others].filter(({ closed }) => !closed).length === 10);
    assert.equal(await greeting(port, '127.0.0.5'), '');
    for (const { socket } of [...crowd, ...others]) socket.destroy();
    await until('there is room again', async () => (await greeting(port, '127.0.0.5')).startsWith('220'));
    await receiver.close(0);
  });

  it('an octet now and then does not prolong the time for the handshake', async () => {
    const { receiver, ports } = await startReceiver(smtp({ handshakeTimeout: '1s' }));
    const quiet = await silent(ports[0] ?? 0, '127.0.0.1');
    const trickling = await silent(ports[0] ?? 0, '127.0.0.1');
    // the begin of a ClientHello, octet by octet
    const hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...Array<number>(400).fill(7)];
    let at = 0;
    const timer = setInterval(() => trickling.socket.write(Buffer.from([hello[at++] ?? 0])), 50);
    await until('both are closed', () => quiet.closed && trickling.closed);
    clearInterval(timer);
    assert.ok(at < hello.length, 'it had more to send');
    await receiver.close(0);
  });

  it('nor after STARTTLS', async () => {
    const { receiver, ports } = await startReceiver(
      smtp({ handshakeTimeout: '1s', maxConnectionsPerClient: 1 }),
    );
    const client = await RawClient.connect(ports[1] ?? 0);
    await client.hello();
    assert.match(await client.command('STARTTLS'), /^220 /);
    const timer = setInterval(() => client.write(Buffer.from([0x16])), 50);
    timer.unref();
    client.write(Buffer.from([0x16, 3, 1, 2]));
    await until('it is cut', () => client.ended);
    clearInterval(timer);
    await until('its place is free', async () => {
      const next = await RawClient.connect(ports[1] ?? 0);
      const reply = await next.reply();
      next.close();
      return reply.startsWith('220 ');
    });
    await receiver.close(0);
  });

  it('a session that ended in the middle of STARTTLS does not hold up the drain', async () => {
    const { receiver, ports } = await startReceiver(smtp({}));
    for (const goodbye of ['reset', 'garbage', 'silence']) {
      const client = await RawClient.connect(ports[1] ?? 0);
      await client.hello();
      await client.command('MAIL FROM:<a@example.org>');
      assert.match(await client.command('STARTTLS'), /^220 /);
      if (goodbye === 'reset') client.socket.resetAndDestroy();
      if (goodbye === 'garbage') client.write('this is no ClientHello\r\n');
      if (goodbye !== 'silence') await until('it has ended', () => client.ended || client.socket.destroyed);
    }
    await sleep(50);
    let closed = false;
    receiver.close(600_000).then(() => {
      closed = true;
    });
    await until('the receiver is closed', () => closed);
  });

  it('a session over STARTTLS is forgotten when it ends', async () => {
    const { receiver, ports } = await startReceiver(smtp({}));
    const client = await RawClient.connect(ports[1] ?? 0);
    await client.hello();
    await client.startTls(tls.pem);
    await client.command('EHLO client.example.org');
    await client.command('MAIL FROM:<a@example.org>');
    client.socket.destroy();
    await sleep(50);
    let closed = false;
    receiver.close(600_000).then(() => {
      closed = true;
    });
    await until('the receiver is closed', () => closed);
  });
});
