/** Several recipients of a partner in one transaction: each has its own outcome, and its own wishes for DSN. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import type { Envelope } from '../../src/queue/index.ts';
import { dsnParameters } from '../../src/smtp/dsn.ts';
import { createSender } from '../../src/smtp/index.ts';

/** Answers RCPT as the local part says: `550@...` is refused. */
async function startServer(extensions: string[]) {
  const lines: string[] = [];
  const server = createServer((socket) => {
    let [text, inData] = ['', false];
    socket.on('error', () => {});
    socket.write('220 here\r\n');
    socket.on('data', (octets) => {
      text += octets.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (inData && line !== '.') continue;
        lines.push(line);
        const verb = line.slice(0, 4);
        const [, code] = /^RCPT TO:<(\d{3})/.exec(line) ?? [];
        if (verb === 'EHLO')
          socket.write(`250-here\r\n${extensions.map((each) => `250-${each}\r\n`).join('')}250 HELP\r\n`);
        else if (code !== undefined) socket.write(`${code} 2.1.5 said\r\n`);
        else if (verb === 'DATA') socket.write('354 go on\r\n');
        else socket.write(verb === 'QUIT' ? '221 bye\r\n' : '250 2.0.0 fine\r\n');
        inData = verb === 'DATA';
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

async function send(
  envelope: Omit<Envelope, 'from'>,
  { id, extensions = ['DSN', 'PIPELINING'] }: { id?: string; extensions?: string[] } = {},
) {
  const server = await startServer(extensions);
  assert.ok(route);
  const sender = createSender({
    route: { ...route, port: server.port },
    readSecret: () => '',
    name: 'own.example',
  });
  try {
    const octets = async function* () {
      yield Buffer.from('Subject: x\r\n\r\nbody\r\n');
    };
    const asked = {
      envelope: { from: 'a@own.example', ...envelope },
      octets,
      ...(id === undefined ? {} : { id }),
    };
    const outcome = await sender.send(asked);
    return { outcome, lines: server.lines.filter((line) => /^(?:MAIL|RCPT)/.test(line)) };
  } finally {
    sender.close();
    server.close();
  }
}

describe('several recipients in one transaction', () => {
  it('are said by name in the event, when one is refused, one deferred, and others have it', async () => {
    const to = ['250@p.example', '550@p.example', '450@p.example', '250-2@p.example'];
    const { outcome, lines } = await send({ to });
    assert.equal(lines.length, 5);
    assert.ok('retry' in outcome);
    assert.deepEqual(outcome.reached, ['250@p.example', '250-2@p.example']);
    const { refused, deferred, reached } = outcome.facts ?? {};
    assert.deepEqual(
      { refused, deferred, reached },
      { refused: ['550@p.example'], deferred: ['450@p.example'], reached: outcome.reached },
    );
  });

  it('of one that is refused, the outcome is a refusal, and the other one has it', async () => {
    const { outcome } = await send({ to: ['550@p.example', '250@p.example'] });
    assert.ok('suspend' in outcome);
    assert.equal(outcome.suspend, 'send-refused');
    assert.deepEqual(outcome.reached, ['250@p.example']);
  });
});

describe('DSN', () => {
  const to = ['250@p.example', '250+x@p.example'];

  it('is asked of a server that offers it: failures and delays, with the id, and no copy', async () => {
    for (const extensions of [['DSN'], ['DSN', 'PIPELINING']]) {
      const { outcome, lines } = await send({ to }, { id: 'o4711', extensions });
      assert.ok('done' in outcome);
      assert.deepEqual(lines, [
        'MAIL FROM:<a@own.example> RET=HDRS ENVID=o4711',
        'RCPT TO:<250@p.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;250@p.example',
        'RCPT TO:<250+x@p.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;250+2Bx@p.example',
      ]);
    }
  });

  it('is asked as the client wanted it, for each recipient', async () => {
    const dsn = {
      ret: 'FULL' as const,
      envid: 'mine+2B1',
      recipients: {
        '250@p.example': { notify: ['SUCCESS', 'FAILURE'], orcpt: 'rfc822;old@else.example' },
        '250+x@p.example': { notify: ['NEVER'] },
      },
    };
    const { lines } = await send({ to, dsn }, { id: 'o4711' });
    assert.deepEqual(lines, [
      'MAIL FROM:<a@own.example> RET=FULL ENVID=mine+2B1',
      'RCPT TO:<250@p.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old@else.example',
      'RCPT TO:<250+x@p.example> NOTIFY=NEVER ORCPT=rfc822;250+2Bx@p.example',
    ]);
  });

  it('is not asked of a server that does not offer it, nor without an id', async () => {
    for (const options of [{ id: 'o4711', extensions: ['PIPELINING'] }, {}]) {
      const { lines } = await send({ to }, options);
      assert.deepEqual(lines[0], 'MAIL FROM:<a@own.example>');
      assert.deepEqual(lines[1], 'RCPT TO:<250@p.example>');
    }
  });

  it('never carries a command: what the RFC does not allow is replaced', () => {
    const evil = 'x\r\nRCPT TO:<evil@else.example>';
    const dsn = { envid: evil, recipients: { 'a@p.example': { notify: [evil], orcpt: `rfc822;${evil}` } } };
    const { mail, recipients } = dsnParameters({ from: '', to: ['a@p.example'], dsn }, 'o1', (same) => same);
    assert.equal(mail, ' RET=HDRS ENVID=o1');
    assert.deepEqual([...recipients], [['a@p.example', ' NOTIFY=FAILURE,DELAY ORCPT=rfc822;a@p.example']]);
  });

  it('has no ORCPT for an address that is not ASCII', () => {
    const { recipients } = dsnParameters({ from: '', to: ['jörg@p.example'] }, 'o1', (same) => same);
    assert.deepEqual([...recipients.values()], [' NOTIFY=FAILURE,DELAY']);
  });
});
