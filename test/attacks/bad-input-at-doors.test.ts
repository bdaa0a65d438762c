/**
 * Bad input at every door of the running daemon: a clear error, nothing half-done, and the next good message is taken.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { publicKeyOf, sealRequest } from '../../src/sealed/index.ts';
import { exchange } from '../support/api.ts';
import { cutOff, type Doors, draftsIn, type Outcome, startDoors } from '../support/doors.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const xml = 'application/xml';
const mailOf = (subject: string, ...more: string[]) =>
  ['From: <erp@own.example>', `Subject: ${subject}`, ...more, '', 'order 4711'].join('\r\n');
const boss = 'From: <boss@own.example>\r\nSubject: x\r\n\r\nx';
/** A mail with an attachment. */
const attached = (disposition: string, content: string) =>
  [
    'From: <erp@own.example>',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    `Content-Type: ${xml}`,
    `Content-Disposition: attachment; ${disposition}`,
    '',
    content,
    '--b--',
  ].join('\r\n');

const name = 'заказ-注文-طلب-😀.xml';
const megabytes = 1024 * 1024;

type Way = 'http' | 'smtp' | 'folder' | 'queue' | 'send';

describe('bad input at each door of the running daemon', {
  skip: skipWithout('openssl'),
  timeout: 1_800_000,
}, () => {
  const world = makeWorld();
  let doors: Doors;
  before(async () => {
    doors = await startDoors(world);
  });
  after(async () => {
    await doors?.close();
    world.remove();
  });

  /** Each door with what was tried there, and what must come of it: a code, or the beginning of a reply. */
  interface Case {
    what: string;
    tries: Partial<Record<Way, [() => Promise<Outcome>, RegExp]>>;
  }
  const large = (path: string) => {
    writeFileSync(path, '');
    truncateSync(path, 200 * megabytes);
  };
  const cases: Case[] = [
    {
      what: 'an unknown partner',
      tries: {
        http: [() => doors.http(doors.erp, { partner: 'nobody' }, xml, 'x'), /^partner-unknown$/],
        smtp: [() => doors.smtp(doors.erp, 'edi@nobody.example', mailOf('x')), /^550 5\.1\.1 /],
        folder: [() => doors.file('nobody', 'order.xml', 'x'), /^partner-unknown$/],
        queue: [
          () => doors.queue(doors.erp, { partner: 'nobody', content: 'x', filename: 'a' }),
          /^partner-unknown$/,
        ],
        send: [() => doors.send(['--partner', 'nobody', '-'], 'x'), /^partner-unknown$/],
      },
    },
    {
      what: 'the partner of another client',
      tries: {
        http: [() => doors.http(doors.erp, { partner: 'globex' }, xml, 'x'), /^partner-unknown$/],
        smtp: [() => doors.smtp(doors.erp, 'edi@globex.example', mailOf('x')), /^550 5\.1\.1 /],
        folder: [() => doors.file('globex', 'order.xml', 'x'), /^partner-unknown$/],
        queue: [
          () => doors.queue(doors.erp, { partner: 'globex', content: 'x', filename: 'a' }),
          /^partner-unknown$/,
        ],
      },
    },
    {
      what: 'a wrong type',
      tries: {
        http: [
          () => doors.http(doors.erp, { partner: 'acme' }, 'multipart/mixed; boundary=b', 'x'),
          /^media-type-unsupported$/,
        ],
        smtp: [() => doors.smtp(doors.erp, 'edi@acme.example', 'ISA*00*ZZ*ACME~\r\n\r\nx'), /^554 5\.6\.0 /],
        folder: [() => doors.file('acme', 'no-mail.eml', 'ISA*00*ZZ*ACME~\r\n\r\nx'), /^mime-malformed$/],
        queue: [
          () =>
            doors.queue(doors.erp, { partner: 'acme', content: 'x', filename: 'a', contentType: 'nonsense' }),
          /^usage$/,
        ],
        send: [() => doors.send(['--partner', 'acme', '--content-type', 'nonsense', '-'], 'x'), /^usage$/],
      },
    },
    {
      what: 'a name or field that would be several fields',
      tries: {
        http: [
          () => doors.http(doors.erp, { partner: 'acme', filename: 'a\r\nBcc: x@y.example' }, xml, 'x'),
          /^request-invalid$/,
        ],
        smtp: [
          () => doors.smtp(doors.erp, 'edi@acme.example', mailOf('x\rBcc: y@z.example')),
          /^550 5\.6\.0 /,
        ],
        folder: [() => doors.file('acme', 'a\nBcc: x@y.example', 'x'), /^request-invalid$/],
        queue: [
          () =>
            doors.queue(doors.erp, {
              partner: 'acme',
              content: 'x',
              filename: 'a',
              subject: 'a\r\nBcc: x@y.example',
            }),
          /^request-invalid$/,
        ],
      },
    },
    {
      what: 'metadata of several lines',
      tries: {
        http: [
          () =>
            doors.http(doors.erp, { partner: 'acme', filename: 'a', metadata: '{"a":"b\\nc"}' }, xml, 'x'),
          /^request-invalid$/,
        ],
        smtp: [
          () => doors.smtp(doors.erp, 'edi@acme.example', mailOf('x', 'X-Sealpost-Metadata: nothing')),
          /^550 5\.5\.4 /,
        ],
        folder: [
          () => doors.file('acme', 'asks.eml', mailOf('x', 'X-Sealpost-Encrypt: no')),
          /^request-invalid$/,
        ],
        queue: [
          () =>
            doors.queue(doors.erp, { partner: 'acme', content: 'x', filename: 'a', metadata: { a: 'b\nc' } }),
          /^request-invalid$/,
        ],
        send: [
          () => doors.send(['--partner', 'acme', '--metadata', 'a=b\nc', '-'], 'x'),
          /^request-invalid$/,
        ],
      },
    },
    {
      what: 'a sender of another client',
      tries: {
        http: [
          () => doors.http(doors.erp, { partner: 'acme', from: 'boss@own.example' }, 'message/rfc822', boss),
          /^not-granted$/,
        ],
        smtp: [() => doors.smtp(doors.erp, 'edi@acme.example', boss), /^550 5\.7\.1 /],
        folder: [() => doors.file('acme', 'boss.eml', boss), /^not-granted$/],
        queue: [
          () => doors.queue(doors.erp, { partner: 'acme', content: boss, mail: true }),
          /^not-granted$/,
        ],
      },
    },
    {
      what: 'a request for less protection than the partner has',
      tries: {
        http: [
          () =>
            doors.http(
              doors.erp,
              {},
              'application/json',
              '{"partner":"acme","text":"x","encrypt":false,"sign":"none"}',
            ),
          /^request-invalid$/,
        ],
        smtp: [
          () => doors.smtp(doors.erp, 'edi@acme.example', mailOf('x', 'X-Sealpost-Sign: none')),
          /^550 5\.5\.4 /,
        ],
        folder: [
          () => doors.file('acme', 'less.eml', mailOf('x', 'X-Sealpost-Sign: none')),
          /^request-invalid$/,
        ],
        queue: [
          () => {
            const less = { partner: 'acme', content: 'x', filename: 'a', encrypt: false };
            return doors.queue(doors.erp, less);
          },
          /^request-invalid$/,
        ],
      },
    },
    {
      what: 'an empty mail',
      tries: {
        http: [() => doors.http(doors.erp, { partner: 'acme' }, 'message/rfc822', ''), /^message-empty$/],
        smtp: [() => doors.smtp(doors.erp, 'edi@acme.example', ''), /^554 5\.6\.0 /],
        folder: [() => doors.file('acme', 'nothing.xml', ''), /^message-empty$/],
        queue: [() => doors.queue(doors.erp, { partner: 'acme', content: '' }), /^message-empty$/],
        send: [() => doors.send(['--partner', 'acme', '-'], ''), /^message-empty$/],
      },
    },
    {
      what: '200 MB',
      tries: {
        smtp: [
          () => doors.smtp(doors.erp, 'edi@acme.example', 'x', ` SIZE=${200 * megabytes}`),
          /^552 5\.3\.4 /,
        ],
        folder: [() => doors.file('acme', 'large.bin', large), /^message-too-large$/],
        // The whole job is in memory, so its limit is a smaller one: 10 MiB.
        queue: [
          () =>
            doors.queue(doors.erp, { partner: 'acme', content: Buffer.alloc(11 * megabytes), filename: 'a' }),
          /^message-too-large$/,
        ],
      },
    },
  ];

  const untouched = async (work: () => Promise<void>) => {
    const before = (await doors.records()).length;
    await work();
    assert.equal((await doors.records()).length, before, 'nothing was made of it');
    await doors.daemon.waitFor('no draft is left', () => draftsIn(doors.daemon.dataDir).length === 0);
  };

  for (const { what, tries } of cases)
    it(`${what} is refused, and nothing is made of it`, async () => {
      await untouched(async () => {
        for (const [way, [attempt, expected]] of Object.entries(tries)) {
          const { id, refused } = await attempt();
          assert.equal(id, undefined, `${way} took it`);
          assert.match(refused ?? '', expected, way);
        }
      });
    });

  it('200 MB over HTTP are refused before they are read', async () => {
    await untouched(async () => {
      const head = [
        'POST /v1/messages?partner=acme HTTP/1.1',
        `Host: 127.0.0.1:${doors.api}`,
        `Authorization: Bearer ${doors.erp.token}`,
        `Content-Type: ${xml}`,
        `Content-Length: ${200 * megabytes}`,
        'Expect: 100-continue',
        '',
        '',
      ].join('\r\n');
      assert.match(await exchange(doors.api, [head]), /^HTTP\/1\.1 413 /);
    });
  });

  it('the partner of another client is answered like one that is not there', async () => {
    const answer = async (partner: string) => {
      const [http, smtp, queue] = [
        await doors.answer(doors.erp, { partner }, xml, 'x'),
        await doors.smtp(doors.erp, `edi@${partner}.example`, mailOf('x')),
        await doors.erp.queue
          .submit({ partner, content: 'x', filename: 'a' })
          .catch((error: Error) => error.message),
      ];
      return JSON.stringify([http, smtp, queue]).replaceAll(partner, 'NAME');
    };
    assert.equal(await answer('globex'), await answer('nobody'));
  });

  it('an upload that is cut is as if it had never begun', async () => {
    await untouched(async () => {
      const head = [
        'POST /v1/messages?partner=acme&filename=a.bin HTTP/1.1',
        `Host: 127.0.0.1:${doors.api}`,
        `Authorization: Bearer ${doors.erp.token}`,
        'Content-Type: application/octet-stream',
        'Content-Length: 3000000',
        '',
        '',
      ].join('\r\n');
      await cutOff(doors.api, head, Buffer.alloc(1_500_000));
      const session = await doors.login(doors.erp);
      await session.envelope(['edi@acme.example'], 'erp@own.example');
      session.write(`${mailOf('half')}\r\n${'x'.repeat(70)}\r\n`.repeat(10_000));
      session.socket.destroy();
      // A job that was cut: what is sealed does not open.
      const { prefix, key } = doors.erp.made;
      const whole = sealRequest(
        publicKeyOf(Buffer.from(key, 'base64')),
        'erp',
        { partner: 'acme', filename: 'cut', idempotencyKey: 'cut' },
        Buffer.alloc(1000),
      );
      const { redis } = doors.daemon.queue;
      await redis.hset(`${prefix}:half`, { name: 'submit', data: whole.slice(0, whole.length / 2) });
      await redis.lpush(`${prefix}:wait`, 'half');
      await assert.rejects(doors.erp.queue.result('half'), { code: 'request-invalid' });
      // What a program still writes has another name, or does not stand still.
      writeFileSync(join(doors.drop, 'acme', 'half.xml.part'), 'half');
      const command = spawn(
        join(import.meta.dirname, '../../bin/sealpost'),
        ['send', '--config', doors.daemon.configFile, '--partner', 'acme', '-'],
        { stdio: ['pipe', 'ignore', 'ignore'] },
      );
      command.stdin.on('error', () => undefined);
      command.stdin.write(Buffer.alloc(2_000_000));
      await doors.daemon.waitFor('it has begun', () => draftsIn(doors.daemon.dataDir).length > 0);
      command.kill('SIGKILL');
      await once(command, 'exit');
    });
  });

  it('an empty file with a name is meant, and so is a name in any script, at each door', async () => {
    const script = { partner: 'acme', filename: name };
    const ways: Record<Way, () => Promise<Outcome>> = {
      http: () => doors.http(doors.erp, script, xml, '<order/>'),
      smtp: () =>
        doors.smtp(
          doors.erp,
          'edi@acme.example',
          attached(`filename*=utf-8''${encodeURIComponent(name)}`, '<order/>'),
        ),
      folder: () => doors.file('acme', name, '<order/>'),
      queue: () => doors.queue(doors.erp, { ...script, content: '<order/>' }),
      send: () => doors.send(['--partner', 'acme', world.file(name, '<order/>')]),
    };
    for (const [way, attempt] of Object.entries(ways)) {
      const { id = '', refused } = await attempt();
      assert.equal(refused, undefined, way);
      const parsed = await simpleParser(await doors.octets(id));
      const [first] = parsed.attachments;
      assert.deepEqual([first?.filename, first?.content.toString().trim()], [name, '<order/>'], way);
    }
    for (const [way, { refused }] of Object.entries({
      http: await doors.http(doors.erp, { partner: 'acme', filename: 'empty.csv' }, 'text/csv', ''),
      queue: await doors.queue(doors.erp, { partner: 'acme', filename: 'empty.csv', content: '' }),
      send: await doors.send(['--partner', 'acme', world.file('empty.csv', '')]),
    }))
      assert.equal(refused, undefined, way);
  });

  it('a mail that has been in a mailbox leaves without the fields of its delivery, at each door', async () => {
    const fields = ['Return-Path: <boss@own.example>', 'Delivered-To: boss', 'X-Original-To: boss'];
    const mail = (way: Way) => mailOf(`delivered, ${way}`, ...fields);
    const query = { partner: 'acme' };
    const ways: Record<Way, () => Promise<Outcome>> = {
      http: () => doors.http(doors.erp, query, 'message/rfc822', mail('http')),
      smtp: () => doors.smtp(doors.erp, 'edi@acme.example', mail('smtp')),
      folder: () => doors.file('acme', 'delivered.eml', mail('folder')),
      queue: () => doors.queue(doors.erp, { ...query, content: mail('queue'), mail: true }),
      send: () => doors.send(['--partner', 'acme', '--message', '-'], mail('send')),
    };
    for (const [way, attempt] of Object.entries(ways)) {
      const { id = '', refused } = await attempt();
      assert.equal(refused, undefined, way);
      const octets = await doors.octets(id);
      assert.ok(octets.includes(`Subject: delivered, ${way}\r\n\r\norder 4711`), octets);
      assert.doesNotMatch(octets, /boss/i, way);
    }
  });

  it('metadata comes back in the ledger and in events, from each door', async () => {
    const asked = (way: Way) => ({ partner: 'acme', metadata: { door: way } });
    const mail = (way: Way) => mailOf('metadata', `X-Sealpost-Metadata: door=${way}`);
    const ways: Record<Way, () => Promise<Outcome>> = {
      http: () => doors.http(doors.erp, { partner: 'acme', metadata: '{"door":"http"}' }, xml, 'x'),
      smtp: () => doors.smtp(doors.erp, 'edi@acme.example', mail('smtp')),
      folder: () => doors.file('acme', 'metadata.eml', mail('folder')),
      queue: () => doors.queue(doors.erp, { ...asked('queue'), content: 'x', filename: 'a' }),
      send: () => doors.send(['--partner', 'acme', '--metadata', 'door=send', '-'], 'x'),
    };
    const { ledger, events } = doors.daemon.queue;
    for (const [way, attempt] of Object.entries(ways)) {
      const place = await events.newest();
      const { id = '', refused } = await attempt();
      assert.equal(refused, undefined, way);
      assert.equal((await ledger.get(id))?.metadata?.door, way);
      const page = await events.read(place);
      const said = page.events.filter(({ record }) => record.id === id).map(({ record }) => record.metadata);
      assert.deepEqual([said.length > 0, said.every((each) => each?.door === way)], [true, true], way);
    }
  });

  it('two doors that race with one key make one mail, with the same id', async () => {
    for (let round = 0; round < 5; round += 1) {
      const before = (await doors.records()).length;
      const key = `race-${round}`;
      // SMTP ends each line, also the last one.
      const mail = `${mailOf(`race ${round}`)}\r\n`;
      const keyed = mailOf(`race ${round}`, `X-Sealpost-Idempotency-Key: ${key}`);
      const query = { partner: 'acme', from: 'erp@own.example' };
      const outcomes = await Promise.all([
        doors.http(doors.erp, query, 'message/rfc822', mail, key),
        doors.smtp(doors.erp, 'edi@acme.example', keyed),
        doors.queue(doors.erp, { ...query, content: mail, mail: true, idempotencyKey: key }),
        doors.http(doors.erp, query, 'message/rfc822', mail, key),
        doors.smtp(doors.erp, 'edi@acme.example', keyed),
      ]);
      assert.deepEqual(
        outcomes.map(({ refused }) => refused),
        [undefined, undefined, undefined, undefined, undefined],
      );
      assert.equal(new Set(outcomes.map(({ id }) => id)).size, 1);
      assert.equal((await doors.records()).length, before + 1);
    }
  });

  it('two doors that race with one key for different mails make one mail, and the other is a conflict', async () => {
    const before = (await doors.records()).length;
    const key = 'race-differs';
    const outcomes = await Promise.all([
      doors.http(
        doors.erp,
        { partner: 'acme', from: 'erp@own.example' },
        'message/rfc822',
        mailOf('one'),
        key,
      ),
      doors.smtp(doors.erp, 'edi@acme.example', mailOf('two', `X-Sealpost-Idempotency-Key: ${key}`)),
      doors.queue(doors.erp, { partner: 'acme', content: mailOf('three'), mail: true, idempotencyKey: key }),
      // The name of the file is among what is asked for, so it differs from the same mail at another door.
      doors.file('acme', 'race.eml', mailOf('one', `X-Sealpost-Idempotency-Key: ${key}`)),
    ]);
    assert.equal(outcomes.filter(({ id }) => id !== undefined).length, 1, JSON.stringify(outcomes));
    for (const { refused } of outcomes)
      assert.match(refused ?? 'idempotency-conflict', /^(idempotency-conflict|550 5\.5\.4 .*differs.*)$/);
    assert.equal((await doors.records()).length, before + 1);
  });

  it('a key of one client is nothing to another, and one partner is not the other', async () => {
    const key = 'shared';
    const theirs = 'From: <shop@own.example>\r\n\r\nx';
    const outcomes = [
      await doors.http(doors.erp, { partner: 'acme' }, 'message/rfc822', mailOf('x'), key),
      await doors.http(doors.shop, { partner: 'globex' }, 'message/rfc822', theirs, key),
      await doors.send(['--partner', 'acme', '--idempotency-key', key, '-'], 'of the operator'),
    ];
    const ids = outcomes.map(({ id }) => id);
    assert.ok(!ids.includes(undefined) && new Set(ids).size === 3, JSON.stringify(outcomes));
  });

  it('a folder full of files does not keep the other doors waiting', async () => {
    const count = 600;
    const folder = join(doors.drop, 'acme');
    for (let index = 0; index < count; index += 1) writeFileSync(join(folder, `file-${index}`), 'x');
    const taken = () => count - readdirSync(folder).filter((each) => /^file-/.test(each)).length;
    await doors.daemon.waitFor('they are being taken', () => taken() > 20);
    for (const [way, attempt] of Object.entries({
      http: () => doors.http(doors.erp, { partner: 'acme' }, xml, 'x'),
      smtp: () => doors.smtp(doors.erp, 'edi@acme.example', mailOf('x')),
      // Another client, by the process that takes the files.
      queue: () => doors.queue(doors.shop, { partner: 'globex', content: 'x', filename: 'a' }),
    })) {
      const before = taken();
      const { refused } = await attempt();
      assert.equal(refused, undefined, way);
      const passed = taken() - before;
      assert.ok(passed < 300, `${way} waited for ${passed} files`);
    }
    await doors.daemon.waitFor('all are taken', () => taken() === count);
  });

  it('and in the end, each door takes the next good message', async () => {
    for (const [way, outcome] of Object.entries({
      http: await doors.http(doors.erp, { partner: 'acme' }, xml, 'x'),
      smtp: await doors.smtp(doors.erp, 'edi@acme.example', mailOf('good')),
      folder: await doors.file('acme', 'good.xml', 'x'),
      queue: await doors.queue(doors.erp, { partner: 'acme', content: 'x', filename: 'a' }),
      send: await doors.send(['--partner', 'acme', '-'], 'x'),
    }))
      assert.ok(outcome.id, `${way}: ${outcome.refused}`);
    assert.ok(existsSync(join(doors.drop, 'acme', 'half.xml.part')));
    const roles = doors.daemon.roles().map(({ role }) => role);
    assert.deepEqual(roles.sort(), ['api', 'receive', 'submit']);
  });
});
