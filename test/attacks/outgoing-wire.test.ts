/** What leaves over SMTP is what the server said it takes, and nobody is called for a message that cannot be made. */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { SealpostError } from '../../src/errors.ts';
import { asciiField, longestLine } from '../../src/message/index.ts';
import { decode, encode, encodeSync } from '../../src/smime/index.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { OutboundMessage, Sender } from '../../src/smtp/sender.ts';
import { sentAs } from '../support/smtp.ts';
import { alice, bob, options } from './support.ts';

interface Peer {
  port: number;
  /** Commands, and the lines of messages. */
  lines: string[];
  /** What it answers to DATA; with another reply than 354 it takes the lines of the message for commands. */
  dataReply: string;
  connections: number;
  stop(): void;
}

const servers: Server[] = [];

/** A server with the given extensions that takes everything. */
async function peer(extensions: string[]): Promise<Peer> {
  const found: Peer = { port: 0, lines: [], dataReply: '354 go', connections: 0, stop: () => server.close() };
  const server = createServer((socket: Socket) => {
    found.connections++;
    let buffer = '';
    let data = false;
    socket.on('error', () => {});
    socket.write('220 peer\r\n');
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1');
      for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        found.lines.push(line);
        if (data) {
          if (line !== '.') continue;
          data = false;
          socket.write('250 ok\r\n');
        } else if (line.startsWith('EHLO')) {
          socket.write(
            ['peer', ...extensions]
              .map((each, at, all) => `250${at + 1 < all.length ? '-' : ' '}${each}\r\n`)
              .join(''),
          );
        } else {
          data = line === 'DATA' && found.dataReply.startsWith('354');
          socket.write(line === 'DATA' ? `${found.dataReply}\r\n` : '250 ok\r\n');
        }
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  found.port = address.port;
  return found;
}

const senders: Sender[] = [];
after(() => {
  for (const sender of senders) sender.close();
  for (const server of servers) server.close();
});

async function send(port: number, message: Partial<OutboundMessage> & Pick<OutboundMessage, 'octets'>) {
  const sender = createSender({
    route: { host: '127.0.0.1', port, tls: 'none', connections: 2 },
    readSecret: () => '',
    name: 'us.example.org',
  });
  senders.push(sender);
  const envelope = { from: 'us@example.org', to: ['them@example.com'] };
  return sentAs(await sender.send({ envelope, ...message }));
}

const octetsOf = (octets: Buffer) =>
  async function* () {
    for (let at = 0; at < octets.length; at += 50_000) yield octets.subarray(at, at + 50_000);
  };
const clear = (mail: string | Buffer) => () => encode(Buffer.from(mail), { unprotected: true });
const data = ({ lines }: Peer) =>
  Buffer.from(lines.slice(lines.indexOf('DATA') + 1, lines.lastIndexOf('.')).join('\r\n'), 'latin1');

const eightBitMail = [
  'From: "Jörg Müller" <us@example.org>',
  'To: Grüße an (den Empfänger) <them@example.com>',
  'Subject: Bestellung über 10 Stück — dringend',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  'Grüße',
  `${'ä'.repeat(2000)}`,
  '--b',
  'Content-Type: application/octet-stream; name="Übersicht.bin"',
  'Content-Disposition: attachment; filename="Übersicht.bin"',
  'Content-Transfer-Encoding: base64',
  '',
  `${'QUJD'.repeat(5000)}`,
  '--b',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  `${'=C3=A4'.repeat(400)}`,
  '--b--',
  '',
].join('\r\n');

describe('a server that answers DATA with 250', () => {
  it('gets nothing of the message, which is not sent and is tried again', async () => {
    for (const extensions of [[], ['PIPELINING']]) {
      const server = await peer(extensions);
      server.dataReply = '250 ok';
      const result = await send(server.port, {
        octets: clear('From: us@example.org\r\nSubject: s\r\n\r\nRSET\r\n'),
      });
      assert.equal(result.status, 'deferred');
      assert.match(result.reply ?? '', /answered DATA with 250 ok, instead of 354/);
      assert.equal(server.lines.filter((line) => line === 'DATA').length, 1);
      assert.deepEqual(server.lines.slice(server.lines.indexOf('DATA') + 1), []);
    }
  });
});

describe('a server without 8BITMIME and SMTPUTF8', () => {
  it('gets ASCII in short lines that mean the same', async () => {
    const server = await peer([]);
    const result = await send(server.port, { octets: clear(eightBitMail) });
    assert.equal(result.status, 'sent', result.reply);
    const octets = data(server);
    assert.ok(octets.every((octet) => octet > 0 && octet < 128));
    assert.ok(longestLine(octets) <= 998);
    const parsed = await simpleParser(octets);
    const meant = await simpleParser(eightBitMail);
    assert.equal(parsed.subject, 'Bestellung über 10 Stück — dringend');
    assert.deepEqual(parsed.from?.value, [{ address: 'us@example.org', name: 'Jörg Müller' }]);
    assert.equal(parsed.text, meant.text);
    assert.equal(parsed.attachments[0]?.filename, 'Übersicht.bin');
    assert.deepEqual(
      parsed.attachments.map(({ content }) => content.toString('latin1')),
      meant.attachments.map(({ content }) => content.toString('latin1')),
    );
    assert.ok(!server.lines.some((line) => /^MAIL .*(8BITMIME|SMTPUTF8|SIZE)/.test(line)));
    server.stop();
  });

  it('gets a signature over what it can carry, which holds', async () => {
    const server = await peer([]);
    const sign = {
      identity: alice.identity,
      sign: 'detached',
      signatureScheme: 'pkcs1',
      at: new Date('2026-01-01'),
    } as const;
    const result = await send(server.port, { octets: () => encode(Buffer.from(eightBitMail), sign) });
    assert.equal(result.status, 'sent', result.reply);
    const octets = data(server);
    assert.ok(octets.every((octet) => octet > 0 && octet < 128));
    assert.ok(longestLine(octets) <= 998);
    const { verdict } = await decode(octets, { ...options, at: new Date('2026-01-01') });
    assert.equal(verdict.status, 'ok', JSON.stringify(verdict));
    assert.match(JSON.stringify(verdict), /"valid"/);
    server.stop();
  });

  const nested = [
    'Subject: forwarded',
    'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=s',
    '',
    '--s',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'Grüße',
    '--s',
    'Content-Type: application/pgp-signature',
    '',
    'x',
    '--s--',
    '',
  ].join('\r\n');

  it('does not get what somebody else signed in 8bit: it is refused with a sentence', async () => {
    const server = await peer([]);
    const result = await send(server.port, { octets: clear(nested) });
    assert.deepEqual([result.status, server.lines.includes('DATA')], ['refused', false]);
    assert.match(result.reply, /somebody else signed is 8bit.*no 8BITMIME/);
    const able = await peer(['8BITMIME']);
    assert.equal((await send(able.port, { octets: clear(nested) })).status, 'sent');
    assert.ok(data(able).includes(Buffer.from('Grüße')), 'unchanged');
    assert.ok(able.lines.some((line) => /^MAIL .* BODY=8BITMIME$/.test(line)));
    server.stop();
    able.stop();
  });

  it('an address in the header that nothing can encode needs SMTPUTF8, and says so', async () => {
    const octets = clear('From: jörg@example.org\r\nSubject: x\r\n\r\ny\r\n');
    const without = await peer(['8BITMIME']);
    const refused = await send(without.port, { octets });
    assert.deepEqual(
      [refused.status, without.lines.some((line) => line.startsWith('MAIL'))],
      ['refused', false],
    );
    assert.match(refused.reply, /header has a non-ASCII address.*no SMTPUTF8/);
    const able = await peer(['8BITMIME', 'SMTPUTF8', 'PIPELINING']);
    assert.equal((await send(able.port, { octets })).status, 'sent');
    assert.ok(able.lines.some((line) => /^MAIL FROM:<us@example\.org> .*SMTPUTF8$/.test(line)));
    without.stop();
    able.stop();
  });
});

describe('SIZE', () => {
  it('is sent, and honoured before MAIL: at the limit, and one beyond', async () => {
    const octets = Buffer.from(`Subject: x\r\n\r\n${'y'.repeat(70)}\r\n`);
    for (const [limit, status] of [
      [octets.length, 'sent'],
      [octets.length - 1, 'refused'],
      [0, 'sent'],
    ] as const) {
      const server = await peer([`SIZE ${limit}`]);
      const result = await send(server.port, { octets: octetsOf(octets) });
      assert.equal(result.status, status);
      const mail = server.lines.filter((line) => line.startsWith('MAIL'));
      if (status === 'sent') assert.deepEqual(mail, [`MAIL FROM:<us@example.org> SIZE=${octets.length}`]);
      else {
        assert.deepEqual(mail, []);
        assert.equal(
          result.reply,
          `5.3.4 the message has ${octets.length} octets, and the server accepts at most ${limit}`,
        );
      }
      server.stop();
    }
  });

  it('of a large message is about right, and counted where it matters', async () => {
    const line = Buffer.from(`${'z'.repeat(76)}\r\n`);
    const octets = Buffer.concat([Buffer.from('Subject: x\r\n\r\n'), ...Array<Buffer>(40_000).fill(line)]);
    let made = 0;
    const message = {
      octets: () => {
        made++;
        return octetsOf(octets)();
      },
      estimate: octets.length + 1000,
    };
    const room = await peer([`SIZE ${octets.length + 1000}`]);
    assert.equal((await send(room.port, message)).status, 'sent');
    assert.ok(room.lines.includes(`MAIL FROM:<us@example.org> SIZE=${octets.length + 1000}`));
    assert.equal(made, 1);
    const exact = await peer([`SIZE ${octets.length}`]);
    assert.equal((await send(exact.port, message)).status, 'sent', 'the estimate was too high');
    assert.equal(made, 3);
    const small = await peer([`SIZE ${octets.length - 1}`]);
    const refused = await send(small.port, message);
    assert.deepEqual([refused.status, small.lines.includes('DATA')], ['refused', false]);
    for (const { stop } of [room, exact, small]) stop();
  });
});

describe('what no server takes', () => {
  it('a NUL, a bare CR or LF, or an endless line is refused without a call', async () => {
    const server = await peer(['8BITMIME']);
    for (const [octets, why] of [
      ['Subject: x\r\n\r\na\0b\r\n', /NUL/],
      ['Subject: x\r\n\r\na\n.\r\nMAIL FROM:<x@y.example>\r\n', /CR or LF that is not part of/],
      ['Subject: x\r\n\r\na\r.\rb\r\n', /CR or LF that is not part of/],
      ['Subject: x\r\n\r\nends\r', /CR or LF that is not part of/],
      [`Subject: x\r\n\r\n${'a'.repeat(999)}\r\n`, /line of more than 998/],
    ] as const) {
      const result = await send(server.port, { octets: octetsOf(Buffer.from(octets)) });
      assert.equal(result.status, 'refused');
      assert.match(result.reply, why);
    }
    assert.equal(server.connections, 0);
    assert.equal(
      (await send(server.port, { octets: octetsOf(Buffer.from(`a: b\r\n\r\n${'a'.repeat(998)}\r\n`)) }))
        .status,
      'sent',
    );
    server.stop();
  });

  it('far down in a large message it ends the transaction without the final dot', async () => {
    const server = await peer(['8BITMIME']);
    const octets = Buffer.concat([
      Buffer.from('a: b\r\n\r\n'),
      Buffer.alloc(3_000_000, `${'c'.repeat(76)}\r\n`),
      Buffer.from('\0\r\n'),
    ]);
    const result = await send(server.port, { octets: octetsOf(octets) });
    assert.equal(result.status, 'refused');
    assert.match(result.reply, /NUL/);
    assert.ok(server.lines.includes('DATA') && !server.lines.includes('.'));
    server.stop();
  });
});

describe('a message that cannot be made', () => {
  const large = Buffer.alloc(3_000_000, `${'c'.repeat(76)}\r\n`);
  /** Breaks off when a server has heard the begin. */
  const breaksOff = (error: SealpostError, after = large.length) =>
    async function* () {
      yield* octetsOf(large.subarray(0, after))();
      throw new SealpostError(
        error.code,
        error.message,
        error.hint === undefined ? {} : { hint: error.hint },
      );
    };

  it('after its start is still its own failure, and never the route', async () => {
    const server = await peer(['8BITMIME']);
    const error = new SealpostError('mime-limit', 'more than 1000 parts', { hint: 'send fewer' });
    const { outcome } = await send(server.port, { octets: breaksOff(error) });
    assert.deepEqual(outcome, {
      suspend: 'mime-limit',
      facts: { message: 'more than 1000 parts; send fewer' },
      peer: undefined,
    });
    assert.ok(server.lines.includes('DATA') && !server.lines.includes('.'));
    server.stop();
  });

  it('because its octets cannot be fetched waits for the store, and counts no attempt', async () => {
    const server = await peer(['8BITMIME']);
    const away = new SealpostError('spool-unreachable', 'the object store is away');
    for (const octets of [breaksOff(away, 0), breaksOff(away)]) {
      const { outcome } = await send(server.port, { octets });
      assert.ok('retry' in outcome, JSON.stringify(outcome));
      const { retry, untried, peer: heard } = outcome;
      assert.deepEqual([retry, untried, heard], ['spool-unreachable', true, undefined]);
    }
    server.stop();
  });

  const weak = {
    recipients: [bob.certificate],
    contentEncryption: 'des-cbc',
    keyTransport: 'pkcs1',
  } as const;

  for (const [name, mail] of [
    ['small', Buffer.from('Subject: x\r\n\r\ny\r\n')],
    [
      'large',
      Buffer.concat([Buffer.from('Subject: x\r\n\r\n'), Buffer.alloc(4_000_000, `${'c'.repeat(76)}\r\n`)]),
    ],
  ] as const) {
    it(`is its own failure, and nobody is connected to: ${name}`, async () => {
      const server = await peer(['8BITMIME']);
      const octets = () => encode(octetsOf(mail), weak);
      const { outcome } = await send(server.port, { octets });
      assert.ok('suspend' in outcome && outcome.suspend === 'encode-policy', JSON.stringify(outcome));
      assert.equal(outcome.peer, undefined);
      assert.equal(server.connections, 0);
      server.stop();
    });
  }
});

describe('a header field in ASCII', () => {
  const ascii = (text: string | Buffer) => asciiField(Buffer.from(text)).toString();

  it('is left alone when it is so already', () => {
    const field = Buffer.from('Subject:  odd   spacing =?utf-8?q?kept?=\r\n\tand folded \r\n');
    assert.equal(asciiField(field), field);
    assert.equal(ascii(`X: ${'a'.repeat(995)}\r\n`), `X: ${'a'.repeat(995)}\r\n`);
  });

  it('is folded, encoded or refused beyond 998 octets', () => {
    const references = ascii(`References: ${'<0123456789@example.org> '.repeat(100)}\r\n`);
    assert.ok(longestLine(Buffer.from(references)) <= 78);
    assert.equal(references.replace(/\s+/g, ''), `References:${'<0123456789@example.org>'.repeat(100)}`);
    assert.match(ascii(`Subject: ${'a'.repeat(2000)}\r\n`), /^Subject: =\?utf-8\?B\?/);
    assert.throws(() => ascii(`Message-ID: <${'a'.repeat(999)}>\r\n`), { code: 'mime-malformed' });
    assert.throws(() => ascii('Subject: a\0b\r\n'), {
      code: 'mime-malformed',
      message: /Subject holds a NUL/,
    });
  });

  it('keeps addresses, and encodes only what is about them', () => {
    assert.equal(
      ascii('To: "Jörg, \\"J\\"" <a@b.example>, x@y.example (näher), Ärger <c@d.example>\r\n').replaceAll(
        '\r\n ',
        ' ',
      ),
      `To: =?utf-8?B?${Buffer.from('Jörg, "J"').toString('base64')}?= <a@b.example>, x@y.example (=?utf-8?B?${Buffer.from('näher').toString('base64')}?=), =?utf-8?B?${Buffer.from('Ärger').toString('base64')}?= <c@d.example>\r\n`,
    );
    assert.equal(ascii('From: jörg@b.example\r\n'), 'From: jörg@b.example\r\n');
    assert.equal(ascii('From: x <jörg@b.example>\r\n'), 'From: x <jörg@b.example>\r\n');
    assert.equal(ascii('From: "jörg x"@b.example\r\n'), 'From: "jörg x"@b.example\r\n');
  });

  it('reads octets that are no UTF-8 as Latin-1', () => {
    const field = ascii(Buffer.from('Subject: gr\xfc\xdfe\r\n', 'latin1'));
    assert.equal(field, `Subject: =?utf-8?B?${Buffer.from('grüße').toString('base64')}?=\r\n`);
  });

  it('has long parameters in pieces', async () => {
    const name = `${'ü'.repeat(40)}; "x".pdf`;
    const field = ascii(
      `Content-Disposition: attachment; filename="${name.replaceAll('"', '\\"')}"; size=3\r\n`,
    );
    assert.match(field, /filename\*0\*=utf-8''%C3%BC/);
    const parsed = await simpleParser(`${field}Content-Type: application/pdf\r\n\r\nabc`);
    assert.equal(parsed.attachments[0]?.filename, name);
  });

  it('is the same inside and outside of a protected header', () => {
    const sign = {
      identity: alice.identity,
      sign: 'opaque',
      signatureScheme: 'pkcs1',
      at: new Date('2026-01-01'),
    } as const;
    const made = encodeSync(Buffer.from(eightBitMail), { ...sign, headerProtection: true }).toString(
      'latin1',
    );
    assert.match(made, /^Subject: Bestellung =\?utf-8\?B\?/m);
  });
});
