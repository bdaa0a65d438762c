import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { Body } from '../../src/smtp/body.ts';

/** What arrives at the other end of a connection. */
async function sent(chunks: readonly string[], slow = false): Promise<{ octets: string; writes: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const socket = connect(address.port, '127.0.0.1');
  const [peer]: Socket[] = await once(server, 'connection');
  assert.ok(peer);
  let writes = 0;
  const uncork = socket.uncork.bind(socket);
  socket.uncork = () => {
    writes += 1;
    uncork();
  };
  const body = new Body(socket);
  assert.deepEqual([body.begun, body.complete], [false, false]);
  const read = async () => {
    const octets: Buffer[] = [];
    for await (const piece of peer) octets.push(piece);
    return Buffer.concat(octets).toString('latin1');
  };
  for (const chunk of chunks) body.write(Buffer.from(chunk, 'latin1'));
  body.end();
  if (slow) {
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(body.complete, false, 'a full connection is waited for');
  }
  const finished = once(body, 'finish');
  const arrived = read();
  await finished;
  assert.deepEqual([body.begun, body.complete], [true, true]);
  socket.end();
  const octets = await arrived;
  server.close();
  return { octets, writes };
}

const stuffed = (text: string) =>
  `${text.replace(/(^|\r\n)\./g, '$1..')}${text.endsWith('\r\n') ? '' : '\r\n'}.\r\n`;

describe('a message after DATA', () => {
  it('has dots doubled at the start of lines, wherever it is cut', async () => {
    const text = '.first\r\na.b\r\n..\r\n.\r\n\r\n.x.\r\n.';
    for (let at = 0; at <= text.length; at += 1) {
      const { octets } = await sent([text.slice(0, at), text.slice(at)].filter((each) => each !== ''));
      assert.equal(octets, stuffed(text), `cut at ${at}`);
    }
    assert.equal((await sent(Array.from(text))).octets, stuffed(text));
  });

  it('ends with a dot on a line of its own, with or without a last line end', async () => {
    assert.equal((await sent(['a\r\n'])).octets, 'a\r\n.\r\n');
    assert.equal((await sent(['a'])).octets, 'a\r\n.\r\n');
    assert.equal((await sent(['\r\n', '.'])).octets, '\r\n..\r\n.\r\n');
  });

  it('goes out in one write when it is one piece', async () => {
    assert.equal((await sent(['Subject: a\r\n\r\n.b\r\n'])).writes, 1);
  });

  it('waits for a connection that is full', async () => {
    const chunk = `${'x'.repeat(998)}\r\n`.repeat(4000);
    const chunks = [chunk, chunk, chunk];
    const { octets } = await sent(chunks, true);
    assert.equal(octets.length, stuffed(chunks.join('')).length);
    assert.ok(octets === stuffed(chunks.join('')));
  });
});
