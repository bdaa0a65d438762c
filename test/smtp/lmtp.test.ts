/** LMTP (RFC 2033): a message is answered once for each recipient, and each has an outcome of its own. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { createSender } from '../../src/smtp/index.ts';

/** A server that answers RCPT and the message as the local part of the recipient says: `550-452` refuses neither. */
async function startLmtp(cutAfter = Number.POSITIVE_INFINITY) {
  const lines: string[] = [];
  const server = createServer((socket) => {
    let text = '';
    let recipients: string[] = [];
    let inData = false;
    socket.on('error', () => {});
    socket.write('220 here LMTP\r\n');
    socket.on('data', (octets) => {
      text += octets.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        lines.push(line);
        if (inData && line !== '.') continue;
        if (inData) {
          inData = false;
          for (const [at, code] of recipients.entries()) {
            if (at === cutAfter) return void socket.end();
            socket.write(`${code} ${code === '250' ? '2.0.0 kept' : '4.2.2 no'}\r\n`);
          }
          recipients = [];
          continue;
        }
        const verb = line.slice(0, 4);
        const [, first, second] = /<(\d+)-(\d+)@/.exec(line) ?? [];
        if (verb === 'LHLO') socket.write('250-here\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n');
        else if (verb === 'RCPT') {
          if (first === '250') recipients.push(second ?? '250');
          socket.write(`${first} 2.1.5 said\r\n`);
        } else if (verb === 'DATA') {
          inData = recipients.length > 0;
          socket.write(inData ? '354 go on\r\n' : '503 5.5.1 no recipients\r\n');
        } else socket.write(verb === 'QUIT' ? '221 bye\r\n' : '250 2.0.0 fine\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { port, lines, close: () => server.close() };
}

const route = configSchema.parse({
  partners: [{ name: 'p', addresses: ['@p.example'], route: { host: '127.0.0.1', tls: 'none' } }],
}).partners[0]?.route;

async function send(to: string[], cutAfter?: number) {
  const server = await startLmtp(cutAfter);
  assert.ok(route);
  const settings = { ...route, port: server.port, lmtp: true };
  const sender = createSender({ route: settings, readSecret: () => '', name: 'own.example' });
  try {
    const octets = async function* () {
      yield Buffer.from('Subject: x\r\n\r\nbody\r\n');
    };
    const outcome = await sender.send({ envelope: { from: 'a@own.example', to }, octets });
    return { outcome, lines: server.lines };
  } finally {
    sender.close();
    server.close();
  }
}

describe('LMTP', () => {
  it('is done when every recipient has it', async () => {
    const { outcome, lines } = await send(['250-250@x.example', '250-250@y.example']);
    assert.ok('done' in outcome);
    assert.equal(lines[0], 'LHLO own.example');
    assert.equal(lines.filter((line) => line === '.').length, 1);
  });

  it('is tried again for those that are deferred, and says who has it', async () => {
    const to = ['250-250@x.example', '550-250@x.example', '250-452@x.example', '250-250@y.example'];
    const { outcome } = await send(to);
    assert.ok('retry' in outcome);
    assert.equal(outcome.retry, 'send-failed');
    assert.equal(outcome.peer, 'works');
    assert.deepEqual(outcome.reached, [to[0], to[3]]);
    assert.equal(outcome.facts?.code, '452');
  });

  it('is refused for those that are refused for good, if none is deferred', async () => {
    for (const refused of ['550-250@x.example', '250-550@x.example']) {
      const { outcome } = await send(['250-250@x.example', refused]);
      assert.ok('suspend' in outcome, refused);
      assert.deepEqual([outcome.suspend, outcome.reached], ['send-refused', ['250-250@x.example']]);
    }
    const { outcome } = await send(['250-550@x.example', '250-550@y.example']);
    assert.ok('suspend' in outcome);
    assert.equal(outcome.reached, undefined);
  });

  it('knows who has it when the connection ends between the answers', async () => {
    const to = ['250-250@x.example', '250-250@y.example', '250-250@z.example'];
    const { outcome } = await send(to, 2);
    assert.ok('retry' in outcome);
    assert.deepEqual(outcome.reached, to.slice(0, 2));
    const nobody = await send(to, 0);
    assert.ok('retry' in nobody.outcome && nobody.outcome.reached === undefined);
  });
});
