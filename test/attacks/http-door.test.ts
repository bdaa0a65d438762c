/** Attacks on the HTTP API, against the running daemon: who may do what, and what a request can be made of. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomKey, startApi, type TestApi } from '../support/api.ts';
import { kill, peakMegabytes } from '../support/daemon.ts';
import { draftsIn } from '../support/doors.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

const all = 'send,read,content,resume,retry,decode-again,terminate';

describe('attacks on the HTTP API', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let api: TestApi;
  /** Of partner acme and of partner other, with every verb; one that may only send to acme. */
  let acme: string;
  let other: string;
  let sender: string;
  before(async () => {
    api = await startApi(world, {
      args: ['--only', 'api,receive'],
      env: { OWN_KEY_PASSWORD: 'never seen by api' },
      config: {
        identities: [
          {
            name: 'own',
            certificate: world.own.certFile,
            key: world.own.keyFile,
            password: { env: 'OWN_KEY_PASSWORD' },
          },
        ],
        log: { level: 'trace' },
      },
      api: { bodyTimeout: '1s', bodyMinimumRate: '10KiB', maxRequestsPerClient: 4 },
    });
    acme = await api.token('acme-erp', '--scope', all, '--partner', 'acme', '--sender', '*');
    other = await api.token('other-erp', '--scope', all, '--partner', 'other', '--sender', '*');
    sender = await api.token('acme-sender', '--scope', 'send', '--partner', 'acme', '--sender', '*');
  });
  after(async () => {
    await api?.daemon.stop();
    world.remove();
  });

  const submitted = async (token: string, partner: string) => {
    const { status, json } = await api.post(token, { partner, text: 'x' });
    assert.equal(status, 202, JSON.stringify(json));
    return String(json.messages[0].id);
  };
  const outboundCount = async () => (await api.daemon.queue.ledger.count()).queued;
  const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  const head = (token: string, ...fields: string[]) =>
    [
      'POST /v1/messages HTTP/1.1',
      `Host: 127.0.0.1:${api.port}`,
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      'Connection: close',
      ...fields,
      '',
      '',
    ].join('\r\n');
  const body = '{"partner":"acme","text":"x"}';

  it('missing, malformed, unknown and wrong tokens are answered alike', async () => {
    const wrong = [
      '',
      'x',
      acme.slice(0, -1),
      `${acme.slice(0, 30)}AAAA${acme.slice(34)}`,
      `sealpost_${'0'.repeat(10)}_${'0'.repeat(49)}`,
    ];
    const answers = await Promise.all(wrong.map((token) => api.call(token, '/v1/messages')));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([401]));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    assert.equal(answers[0]?.headers.get('www-authenticate'), 'Bearer realm="sealpost"');
    assert.match(answers[0]?.headers.get('content-type') ?? '', /^application\/problem\+json\b/);
    assert.deepEqual(answers[0]?.json.code, 'client-unauthenticated');
    // Nor does a path say whether it is there.
    assert.equal((await api.call('', '/v1/nothing')).text, answers[0]?.text);
  });

  it('a token in a URL is refused, whatever its parameter is called, and is never logged', async () => {
    for (const path of [
      `/v1/messages?token=${acme}`,
      `/v1/messages?state=${acme}`,
      `/v1/messages/${acme}`,
      `/v1/messages?x=${encodeURIComponent(acme)}`,
      `/v1/messages?x=%73${acme.slice(1)}`,
      '/v1/messages?access_token=other',
    ]) {
      const { status, text } = await api.call(acme, path);
      assert.equal(status, 400, path);
      assert.ok(!text.includes(acme.slice(20)), text);
    }
    assert.ok(!api.daemon.log().includes(acme.slice(20, 60)));
  });

  it('messages of another partner are as unknown as messages that never were', async () => {
    const id = await submitted(other, 'other');
    const unknown = `o${'0'.repeat(31)}`;
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/content'],
      ['GET', '/original'],
      ['POST', '/resume'],
      ['POST', '/retry'],
      ['POST', '/decode-again'],
      ['POST', '/terminate'],
    ] as const) {
      const request = (of: string) =>
        api.call(acme, `/v1/messages/${of}${path}`, {
          method,
          ...(path === '/terminate'
            ? { body: '{"why":"mine"}', headers: { 'content-type': 'application/json' } }
            : {}),
        });
      const [foreign, none] = [await request(id), await request(unknown)];
      assert.equal(foreign.status, 404, `${path}: ${foreign.text}`);
      assert.equal(foreign.text.replaceAll(id, unknown), none.text);
    }
    assert.equal((await api.call(other, `/v1/messages/${id}`)).json.state, 'queued');
    const [foreign, none] = [
      await api.post(acme, { partner: 'other', text: 'x' }),
      await api.post(acme, { partner: 'nobody', text: 'x' }),
    ];
    assert.equal(foreign.status, 404);
    assert.equal(foreign.text.replaceAll('other', 'nobody'), none.text);
    const at = (address: string) => api.post(acme, { recipients: [address], text: 'x' });
    assert.equal(
      (await at('edi@other.example')).text.replaceAll('other', 'nobody'),
      (await at('edi@nobody.example')).text,
    );
  });

  it('lists, filters, cursors, partners and queues show what is granted, and nothing else', async () => {
    const [mine, theirs] = [await submitted(acme, 'acme'), await submitted(other, 'other')];
    await submitted(other, 'other');
    const ids = async (token: string, query: string) => {
      const { json, status, text } = await api.call(token, `/v1/messages?${query}`);
      assert.equal(status, 200, text);
      return json.messages.map(({ id }: { id: string }) => id);
    };
    const record = await api.daemon.queue.ledger.get(theirs);
    assert.ok(record);
    const found = await ids(acme, '');
    assert.ok(found.includes(mine) && !found.includes(theirs));
    for (const query of [
      'partner=other',
      `sha256=${record.sha256}`,
      new URLSearchParams({ messageId: record.messageId ?? '' }).toString(),
      'partner=OTHER',
      'mailbox=orders',
      'direction=inbound',
    ])
      assert.deepEqual(await ids(acme, query), [], query);
    assert.deepEqual(await ids(other, `sha256=${record.sha256}`), [theirs]);
    // A foreign cursor is a time, and shows nothing foreign.
    const page = await api.call(other, '/v1/messages?limit=1');
    assert.ok(page.json.cursor);
    const after = await ids(acme, `cursor=${page.json.cursor}`);
    assert.ok(!after.includes(theirs));
    const names = async (path: string, what: string) =>
      (await api.call(acme, path)).json[what].map(({ name }: { name: string }) => name);
    assert.deepEqual(await names('/v1/partners', 'partners'), ['acme']);
    assert.deepEqual(await names('/v1/mailboxes', 'mailboxes'), []);
    assert.deepEqual(await names('/v1/queues', 'queues'), ['acme']);
  });

  it('a mail that says it is of a granted partner is not seen by who may see that partner', async () => {
    const id = await api.daemon.accept(world.mail(textEntity('inbound'), { signer: false, to: false }));
    const owner = await api.token('reader', '--scope', 'read', '--mailbox', 'orders');
    assert.equal((await api.call(owner, `/v1/messages/${id}`)).status, 200);
    assert.equal((await api.call(acme, `/v1/messages/${id}`)).status, 404);
    const { json } = await api.call(owner, '/v1/messages');
    assert.deepEqual(
      json.messages.map((each: { id: string; direction: string }) => [each.id, each.direction]),
      [[id, 'inbound']],
    );
  });

  it('each verb is its own: who may send may not read, act or look into content', async () => {
    const id = await submitted(sender, 'acme');
    for (const [method, path] of [
      ['GET', '/v1/messages'],
      ['GET', `/v1/messages/${id}`],
      ['GET', `/v1/messages/${id}/content`],
      ['GET', `/v1/messages/${id}/original`],
      ['POST', `/v1/messages/${id}/resume`],
      ['POST', `/v1/messages/${id}/retry`],
      ['POST', `/v1/messages/${id}/terminate`],
      ['POST', `/v1/messages/${id}/decode-again`],
      ['GET', '/v1/queues'],
    ] as const) {
      const { status, json } = await api.call(sender, path, { method });
      assert.deepEqual([status, json.code], [403, 'not-granted'], path);
    }
    const reader = await api.token('only-reads', '--scope', 'read', '--partner', 'acme');
    assert.equal((await api.post(reader, { partner: 'acme', text: 'x' })).json.code, 'not-granted');
  });

  it('each look into content is in the audit trail, with who looked', async () => {
    const id = await submitted(acme, 'acme');
    const original = await api.call(acme, `/v1/messages/${id}/original`);
    assert.equal(original.status, 200);
    assert.match(original.text, /^From: /);
    const [entry] = await api.daemon.queue.audit.list({ id });
    assert.deepEqual([entry?.what, entry?.by.startsWith('client acme-erp, token ')], ['original', true]);
    const content = await api.call(acme, `/v1/messages/${id}/content`);
    assert.deepEqual([content.status, content.json.code], [410, 'original-gone']);
  });

  it('a body that two readers could read in two ways is refused', async () => {
    const length = `Content-Length: ${body.length}`;
    const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    for (const [what, request, status] of [
      ['length and chunks', head(acme, length, 'Transfer-Encoding: chunked') + chunked, 400],
      ['two lengths', head(acme, length, `Content-Length: ${body.length + 1}`) + body, 400],
      ['two equal lengths', head(acme, length, length) + body, 400],
      ['a coding beside chunks', head(acme, 'Transfer-Encoding: gzip, chunked') + chunked, 415],
      ['compressed', head(acme, length, 'Content-Encoding: gzip') + body, 415],
      ['two tokens', head(acme, length, `Authorization: Bearer ${other}`) + body, 400],
      ['two types', head(acme, length, 'Content-Type: message/rfc822') + body, 400],
      ['two hosts', head(acme, length, 'Host: 127.0.0.1') + body, 400],
      ['a bare LF', head(acme, length).replaceAll('\r\n', '\n') + body, 400],
      ['a folded field', head(acme, length, 'X-A: b', ' c') + body, 400],
    ] as const) {
      const answer = await api.raw(request);
      assert.equal(statusOf(answer), status, `${what}: ${answer}`);
    }
    for (const text of [
      '{"partner":"acme","text":"x","partner":"other"}',
      '{"partner":"acme","text":"x","p\\u0061rtner":"other"}',
      '{"partner":"acme","text":"x","metadata":{"a":"1","a":"2"}}',
      '{"partner":"acme","text":"x","metadata":{"__proto__":"1"}}',
      '{"partner":"acme","text":"x","extra":1}',
      '{"partner":"acme","text":"x"} {}',
      '\ufeff{"partner":"acme","text":"x"}',
      '['.repeat(100_000),
      Buffer.from('{"partner":"acme","text":"\xff"}', 'latin1'),
      '',
    ]) {
      const headers = { 'content-type': 'application/json' };
      const { status, json } = await api.call(acme, '/v1/messages', { method: 'POST', headers, body: text });
      assert.deepEqual([status, json?.code], [400, 'request-invalid'], String(text).slice(0, 80));
    }
    const twice = await api.call(acme, '/v1/messages?state=queued&state=sent');
    assert.deepEqual([twice.status, twice.json.code], [400, 'request-invalid']);
    const unknown = await api.call(acme, '/v1/messages?nothing=1');
    assert.equal(unknown.status, 400);
  });

  it('a host that is not ours is refused, as a rebound name would be', async () => {
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '']) {
      const answer = await api.raw(
        `GET /v1/messages HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${acme}\r\nConnection: close\r\n\r\n`,
      );
      assert.equal(statusOf(answer), 421, `${host}: ${answer}`);
    }
    const absolute = await api.raw(
      `GET http://evil.example/v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${acme}\r\nConnection: close\r\n\r\n`,
    );
    assert.equal(statusOf(absolute), 400);
    // Not by Node, whose answers have no code.
    for (const fields of ['', 'Host: localhost\r\nExpect: gold\r\n']) {
      const answer = await api.raw(`GET /v1/messages HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 400 .*"code":"request-invalid"/s, fields);
    }
  });

  it('who is not let in is not asked for a body, and the body is not read', async () => {
    const request = (token: string) =>
      head(token, `Content-Length: ${150 * 1024 * 1024}`, 'Expect: 100-continue');
    const refused = await api.raw(request('x'));
    assert.match(refused, /^HTTP\/1\.1 401 /);
    assert.doesNotMatch(refused, /100 Continue/);
    // Too large for JSON, and known from its length.
    assert.match(await api.raw(request(acme)), /^HTTP\/1\.1 413 /);
    const small = head(acme, `Content-Length: ${body.length}`, 'Expect: 100-continue');
    assert.match(await api.raw(small + body), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 202 /);
    const octets = await new Promise<number>((resolve) => {
      const socket = connect(api.port, '127.0.0.1');
      const chunk = Buffer.alloc(65_536, 'x');
      const write = () => {
        while (!socket.destroyed && socket.bytesWritten < 100_000_000 && socket.write(chunk));
      };
      socket.on('drain', write).on('error', () => undefined);
      socket.on('close', () => resolve(socket.bytesWritten - socket.writableLength));
      socket.resume();
      socket.write(head('x', 'Content-Length: 100000000'));
      write();
    });
    assert.ok(octets < 40_000_000, `${octets}`);
  });

  it('a body that drips is cut off, and one that stops is', async () => {
    const before = await outboundCount();
    const dripping = (async () => {
      const socket = connect(api.port, '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk) => {
        text += chunk;
      });
      socket.on('error', () => undefined);
      socket.write(head(acme, `Content-Length: ${body.length}`));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const drip = setInterval(() => socket.write('{'), 200);
      await closed;
      clearInterval(drip);
      return text;
    })();
    assert.match(await dripping, /^HTTP\/1\.1 408 .*request-timeout/s);
    assert.match(
      await api.raw(head(acme, `Content-Length: ${body.length}`) + body.slice(0, 5)),
      /^HTTP\/1\.1 408 /,
    );
    assert.equal(await outboundCount(), before);
  });

  it('uploads that are cut, too large or empty leave nothing behind', async () => {
    const before = await outboundCount();
    const query = 'partner=acme&filename=a.bin';
    const cut = connect(api.port, '127.0.0.1');
    cut.on('error', () => undefined);
    cut.write(
      head(acme, 'Content-Length: 5000000')
        .replace('/v1/messages', `/v1/messages?${query}`)
        .replace('application/json', 'application/octet-stream'),
    );
    cut.write(Buffer.alloc(2_000_000));
    await sleep(300);
    cut.resetAndDestroy();
    let given = 0;
    async function* endless() {
      for (; given < 200 * 1024 * 1024; given += 65_536) yield Buffer.alloc(65_536, 'x');
    }
    const large = await api
      .call(acme, `/v1/messages?${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: new ReadableStream({
          type: 'bytes',
          async start(controller) {
            for await (const chunk of endless()) controller.enqueue(new Uint8Array(chunk));
            controller.close();
          },
        }),
        duplex: 'half',
      })
      .catch((error: unknown) => error);
    // A process that kept what it took would have 150 MB more.
    const most = peakMegabytes(api.daemon.pidOf('api'));
    assert.ok(most < 270, `${most} MB`);
    // Fetch may find the connection cut before it reads the answer.
    if (!(large instanceof Error)) assert.equal(Reflect.get(Object(large), 'status'), 413);
    const empty = await api.call(acme, '/v1/messages?partner=acme', {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
    });
    assert.deepEqual([empty.status, empty.json.code], [400, 'message-empty']);
    const form = Buffer.from(
      '--b\r\nContent-Disposition: form-data; name="message"\r\n\r\n{"partner":"acme","text":"x"}\r\n' +
        '--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nhalf of it',
    );
    const half = await api.call(acme, '/v1/messages', {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
      body: form,
    });
    assert.deepEqual([half.status, half.json.code], [400, 'request-invalid']);
    assert.equal(await outboundCount(), before);
    await api.daemon.waitFor('no draft is left', () => draftsIn(api.daemon.dataDir).length === 0);
  });

  it('fields that smuggle lines, folders or protection are refused', async () => {
    for (const [what, more] of [
      ['subject', { subject: 'x\r\nBcc: evil@evil.example' }],
      ['line separator', { subject: 'x\u2028Bcc: y' }],
      ['sender', { from: 'x@own.example\r\nBcc: evil@evil.example' }],
      ['recipient', { partner: undefined, recipients: ['a@acme.example\r\nRCPT TO:<x@evil.example>'] }],
      ['file name', { attachments: [{ filename: 'a\r\nX: y', content: '' }] }],
      ['folder', { attachments: [{ filename: '../../etc/passwd', content: '' }] }],
      ['type', { attachments: [{ filename: 'a', contentType: 'text/plain\r\nX: y', content: '' }] }],
      [
        'structure',
        { attachments: [{ filename: 'a', contentType: 'multipart/mixed; boundary=x', content: '' }] },
      ],
      ['metadata', { metadata: { a: 'x\ny' } }],
      ['protection', { encrypt: false }],
    ] as const) {
      const { status, text } = await api.post(acme, { partner: 'acme', text: 'x', ...more });
      assert.equal(status, 400, `${what}: ${text}`);
    }
    const strict = await api.token(
      'strict',
      '--scope',
      'send',
      '--partner',
      'acme',
      '--sender',
      'me@own.example',
    );
    const forged = await api.post(strict, { partner: 'acme', text: 'x', from: 'boss@own.example' });
    assert.deepEqual([forged.status, forged.json.code], [403, 'not-granted']);
  });

  it('requests that race with one key make one message, and one of another request is refused', async () => {
    const key = randomKey();
    const post = (text: string) => api.post(acme, { partner: 'acme', text }, { 'idempotency-key': key });
    const answers = await Promise.all([post('a'), post('a'), post('b'), post('a')]);
    const made = answers.filter(({ status }) => status === 202);
    assert.equal(new Set(made.map(({ json }) => json.messages[0].id)).size, 1);
    assert.equal(made.filter(({ json }) => !json.messages[0].duplicate).length, 1);
    const refused = answers.filter(({ status }) => status !== 202);
    assert.ok(refused.length > 0);
    for (const { json } of refused) assert.equal(json.code, 'idempotency-conflict');
  });

  it('a client that floods leaves the others as they were', async () => {
    const hanging: Socket[] = [];
    // Who sends nothing is cut off after a while: on a busy machine, they may not all hang at the same time at once.
    const { json } = await api.daemon.waitFor('they have all its places', async () => {
      for (let each = 0; each < 6; each += 1) {
        const socket = connect(api.port, '127.0.0.1');
        socket.on('error', () => undefined).resume();
        socket.write(head(acme, `Content-Length: ${body.length}`));
        hanging.push(socket);
      }
      await sleep(300);
      const answer = await api.post(acme, { partner: 'acme', text: 'x' });
      return answer.status === 429 ? answer : undefined;
    });
    assert.equal(json.code, 'rate-limited');
    await submitted(other, 'other');
    for (const socket of hanging) socket.destroy();
    await api.daemon.waitFor('its requests have ended', async () => {
      return (await api.post(acme, { partner: 'acme', text: 'x' })).status === 202;
    });
  });

  it('a token that floods leaves the other tokens of its client as they were', async () => {
    const few = await api.token('acme-erp', '--messages-per-minute', '1');
    const limited = await api.daemon.waitFor('it is limited', async () => {
      const answer = await api.post(few, { partner: 'acme', text: 'x' });
      return answer.status === 202 ? undefined : answer;
    });
    assert.deepEqual([limited.status, limited.json.code], [429, 'rate-limited']);
    assert.match(limited.json.detail, /^token \w{10} of client acme-erp may send 1 messages a minute$/);
    assert.ok(limited.headers.has('retry-after'));
    await submitted(acme, 'acme');
    const small = await api.token('acme-erp', '--max-size', '2KiB');
    const large = { partner: 'acme', text: 'x'.repeat(3000) };
    const refused = await api.post(small, large);
    assert.deepEqual([refused.status, refused.json.code], [413, 'message-too-large']);
    assert.equal((await api.post(small, { partner: 'acme', text: 'x' })).status, 202);
    const asked = head(small, 'Content-Length: 3000', 'Expect: 100-continue')
      .replace('/v1/messages', '/v1/messages?partner=acme&filename=a.bin')
      .replace('application/json', 'application/octet-stream');
    assert.match(await api.raw(asked), /^HTTP\/1\.1 413 /, 'and the body is not asked for');
    assert.equal((await api.post(acme, large)).status, 202);
  });

  it('a token that is revoked is refused within a second', async () => {
    const token = await api.token('leaver', '--scope', 'read', '--partner', 'acme');
    const id = /^sealpost_([^_]+)_/.exec(token)?.[1] ?? '';
    assert.equal((await api.daemon.command(['tokens', 'revoke', id])).code, 0);
    await api.daemon.waitFor(
      'it is refused',
      async () => (await api.call(token, '/v1/messages')).status === 401,
    );
  });

  it('the process has no keys, and no password of one in its environment', () => {
    const environ = readFileSync(`/proc/${api.daemon.pidOf('api')}/environ`, 'latin1');
    assert.ok(environ.includes('PATH='));
    assert.ok(!environ.includes('OWN_KEY_PASSWORD') && !environ.includes('never seen'));
    const maps = readFileSync(`/proc/${api.daemon.pid}/environ`, 'latin1');
    assert.ok(maps.includes('OWN_KEY_PASSWORD'));
  });

  it('killed in the middle of an upload, nothing is half-done, and a repetition is taken', async () => {
    const before = await outboundCount();
    const key = randomKey();
    const upload = connect(api.port, '127.0.0.1');
    upload.on('error', () => undefined).resume();
    upload.write(
      head(acme, 'Content-Length: 3000000', `Idempotency-Key: ${key}`)
        .replace('/v1/messages', '/v1/messages?partner=acme&filename=a.bin')
        .replace('application/json', 'application/octet-stream'),
    );
    upload.write(Buffer.alloc(1_500_000, 'x'));
    await sleep(300);
    const old = api.daemon.pidOf('api');
    kill(old);
    await api.daemon.waitFor('another process runs', () =>
      api.daemon.roles().some(({ role, pid }) => role === 'api' && pid !== old),
    );
    assert.equal(await outboundCount(), before);
    const port = await api.daemon.waitFor('it listens again', () => {
      const ports = [...api.daemon.log().matchAll(/"api":"[^"]*:(\d+)"[^\n]*"msg":"ready"/g)];
      return ports.length > 1 ? ports.at(-1)?.[1] : undefined;
    });
    const answer = await fetch(`http://127.0.0.1:${port}/v1/messages?partner=acme&filename=a.bin`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${acme}`,
        'content-type': 'application/octet-stream',
        'idempotency-key': key,
      },
      body: Buffer.alloc(3_000_000, 'x'),
    });
    assert.equal(answer.status, 202);
    assert.equal(await outboundCount(), before + 1);
  });
});
