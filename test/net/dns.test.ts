import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import dns from 'dns-packet';
import { createDns, DnsFailure } from '../../src/net/index.ts';
import { freePort } from '../support/net.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';

describe('the client of a validating resolver', { skip: skipWithoutUnbound() }, () => {
  let unbound: Unbound;
  let files: TlsFiles;
  before(async () => {
    files = await makeTlsFiles('DNS:dns.example,IP:127.0.0.1');
    const many = Array.from({ length: 200 }, (_, at) => `many IN A 127.0.${at}.1`);
    unbound = await startUnbound(
      [
        {
          ...{ name: 'signed.test', signed: true },
          records: [
            'a IN A 127.0.0.1',
            'alias IN CNAME a',
            'loop IN CNAME loop',
            'text IN TXT "a b" "c"',
            ...many,
          ],
        },
        { name: 'plain.test', signed: false, records: ['a IN A 127.0.0.1', 'alias IN CNAME a.signed.test.'] },
        {
          name: 'forged.test',
          signed: true,
          records: ['a IN A 127.0.0.1'],
          forge: [/127\.0\.0\.1\n/g, '127.0.0.2\n'],
        },
      ],
      files,
    );
  });
  after(() => {
    unbound.stop();
    files.remove();
  });

  const overTls = (more: { name?: string; ca?: string } = {}) =>
    createDns({ address: '127.0.0.1', port: unbound.tlsPort, tls: true, ca: files.pem, ...more });

  it('says what was validated, over UDP, TCP and TLS', async () => {
    const secured = overTls();
    for (const asked of [unbound.dns(), secured]) {
      const signed = await asked.lookup('A.signed.test', 'A');
      assert.deepEqual(
        [signed.records.map(({ data }) => data), signed.secure, signed.exists],
        [['127.0.0.1'], true, true],
      );
      assert.deepEqual((await asked.lookup('a.plain.test', 'A')).secure, false);
      const nothing = await asked.lookup('a.signed.test', 'AAAA');
      assert.deepEqual([nothing.records, nothing.secure, nothing.exists], [[], true, true]);
      const missing = await asked.lookup('none.signed.test', 'TLSA');
      assert.deepEqual([missing.records, missing.secure, missing.exists], [[], true, false]);
      await assert.rejects(asked.lookup('a.forged.test', 'A'), DnsFailure);
      const [text] = (await asked.lookup('text.signed.test', 'TXT')).records;
      assert.equal([text?.data ?? []].flat().map(String).join(''), 'a bc');
      assert.equal((await asked.lookup('many.signed.test', 'A')).records.length, 200, 'cut over UDP');
    }
    secured.close();
  });

  it('follows aliases, which are secure only as a whole', async () => {
    const asked = unbound.dns();
    const alias = await asked.lookup('alias.signed.test', 'A');
    assert.deepEqual([alias.name, alias.secure, alias.records.length], ['a.signed.test', true, 1]);
    const mixed = await asked.lookup('alias.plain.test', 'A');
    assert.deepEqual([mixed.name, mixed.secure, mixed.records.length], ['a.signed.test', false, 1]);
    await assert.rejects(asked.lookup('loop.signed.test', 'A'), DnsFailure);
  });

  it('asks a resolver over TLS only if its certificate is right', async () => {
    for (const wrong of [
      overTls({ name: 'other.example' }),
      overTls({ ca: readFileSync(files.key, 'utf8') }),
    ]) {
      await assert.rejects(wrong.lookup('a.signed.test', 'A'));
      wrong.close();
    }
    const right = overTls({ name: 'dns.example' });
    const answers = await Promise.all(Array.from({ length: 20 }, () => right.lookup('a.signed.test', 'A')));
    assert.ok(answers.every(({ secure }) => secure));
    right.close();
  });
});

describe('a reply that is not from the resolver', () => {
  /** A resolver that answers each question with what it is told, in this order. */
  async function resolver(answers: (query: Buffer) => Buffer[]) {
    const socket: UdpSocket = createSocket('udp4');
    let asked = 0;
    socket.on('message', (query: Buffer, from: RemoteInfo) => {
      asked += 1;
      for (const reply of answers(query)) socket.send(reply, from.port, from.address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return { port: socket.address().port, asked: () => asked, stop: () => socket.close() };
  }

  const reply = (
    query: Buffer,
    address: string,
    change: { id?: number; name?: string; ttl?: number; flags?: number } = {},
  ) => {
    const { id = 0, questions = [] } = dns.decode(query);
    const name = change.name ?? questions[0]?.name ?? '';
    return dns.encode({
      type: 'response',
      id: change.id ?? id,
      flags: change.flags ?? dns.AUTHENTIC_DATA,
      questions: [{ type: 'A', name }],
      answers: [{ type: 'A', name, ttl: change.ttl ?? 60, data: address }],
    });
  };

  it('with another number or another name does not count', async () => {
    const server = await resolver((query) => [
      reply(query, '192.0.2.1', { id: ((dns.decode(query).id ?? 0) + 1) % 65_536 }),
      reply(query, '192.0.2.2', { name: 'other.example' }),
      query,
      Buffer.from('nonsense'),
      reply(query, '192.0.2.9'),
    ]);
    const asked = createDns({ address: '127.0.0.1', port: server.port, tls: false });
    const { records } = await asked.lookup('a.example', 'A');
    assert.deepEqual(
      records.map(({ data }) => data),
      ['192.0.2.9'],
    );
    server.stop();
  });

  it('has the answer remembered as long as it says', async () => {
    const server = await resolver((query) => [
      reply(query, '192.0.2.9', { ttl: dns.decode(query).questions?.[0]?.name === 'kept.example' ? 60 : 0 }),
    ]);
    const asked = createDns({ address: '127.0.0.1', port: server.port, tls: false });
    for (const _ of [1, 2]) await asked.lookup('kept.example', 'A');
    assert.equal(server.asked(), 1);
    for (const _ of [1, 2]) await asked.lookup('changing.example', 'A');
    assert.equal(server.asked(), 3);
    server.stop();
  });

  it('over TCP that ends or says nonsense is a failure, and the next question goes over a new connection', async () => {
    let connections = 0;
    const port = await freePort();
    const cut = createSocket('udp4');
    cut.on('message', (query, from) =>
      cut.send(reply(query, '192.0.2.9', { flags: dns.TRUNCATED_RESPONSE }), from.port, from.address),
    );
    cut.bind(port, '127.0.0.1');
    await once(cut, 'listening');
    const server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => {});
      socket.once('data', (query: Buffer) => {
        if (connections === 1) {
          socket.destroy();
          return;
        }
        const message = reply(query.subarray(2), '192.0.2.7');
        const length = Buffer.alloc(2);
        length.writeUInt16BE(message.length);
        for (const octet of Buffer.concat([length, message])) socket.write(Buffer.of(octet));
      });
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
    const asked = createDns({ address: '127.0.0.1', port, tls: false });
    await assert.rejects(asked.lookup('a.example', 'A'), DnsFailure);
    const { records, secure } = await asked.lookup('a.example', 'A');
    assert.deepEqual([records.map(({ data }) => data), secure, connections], [['192.0.2.7'], true, 2]);
    asked.close();
    cut.close();
    server.close();
  });
});
