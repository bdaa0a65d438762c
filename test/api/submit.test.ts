import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { randomKey, startApi, storedOctets, type TestApi } from '../support/api.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

describe('a message over HTTP', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  let api: TestApi;
  let erp: string;
  before(async () => {
    api = await startApi(world);
    erp = await api.token('erp', '--scope', 'send,read', '--partner', 'acme,other', '--sender', '*');
  });
  after(async () => {
    await api?.daemon.stop();
    world.remove();
  });
  const mailOf = async (id: string) => await simpleParser(await storedOctets(api, id));

  it('in JSON becomes a mail with text, HTML and attachments in any script', async () => {
    const octets = randomBytes(3000);
    const { status, json, headers } = await api.post(erp, {
      partner: 'acme',
      subject: 'Bestellung – 注文',
      text: 'Grüße\n',
      html: '<p>Grüße</p>',
      attachments: [
        { filename: 'Übersicht 注文.bin', content: octets.toString('base64') },
        {
          filename: 'order.xml',
          contentType: 'application/xml',
          content: Buffer.from('<o/>').toString('base64'),
        },
      ],
      metadata: { order: '4711' },
      priority: 2,
      notBefore: '2020-01-01T00:00:00Z',
    });
    assert.equal(status, 202, JSON.stringify(json));
    const [message] = json.messages;
    assert.deepEqual(
      [message.partner, message.recipients, message.duplicate],
      ['acme', ['edi@acme.example'], false],
    );
    assert.equal(headers.get('location'), `/v1/messages/${message.id}`);
    const mail = await mailOf(message.id);
    assert.deepEqual([mail.subject, mail.text?.trim()], ['Bestellung – 注文', 'Grüße']);
    assert.equal(mail.html, '<p>Grüße</p>');
    assert.deepEqual(
      mail.attachments.map(({ filename, contentType }) => [filename, contentType]),
      [
        ['Übersicht 注文.bin', 'application/octet-stream'],
        ['order.xml', 'application/xml'],
      ],
    );
    assert.deepEqual(mail.attachments[0]?.content, octets);
    const seen = await api.call(erp, `/v1/messages/${message.id}`);
    assert.equal(seen.status, 200, seen.text);
    const { state, client, metadata, priority, origin, events } = seen.json;
    assert.deepEqual(
      [state, client, metadata, priority, origin, events[0].type],
      ['queued', 'erp', { order: '4711' }, 2, 'api', 'queued'],
    );
  });

  it('in JSON has up to 10 MiB, with a length and in chunks without one', async () => {
    const most = 10 * 1024 * 1024;
    const frame = JSON.stringify({ partner: 'acme', text: '' });
    const bodyOf = (octets: number) =>
      Buffer.from(frame.replace('""', `"${'x'.repeat(octets - frame.length)}"`));
    const post = (body: Buffer, chunked: boolean) => {
      const pieces = function* () {
        for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
      };
      const stream = chunked ? ReadableStream.from(pieces()) : undefined;
      return api.call(erp, '/v1/messages', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: stream ?? new Uint8Array(body),
        ...(stream && { duplex: 'half' as const }),
      });
    };
    for (const chunked of [false, true]) {
      const fits = await post(bodyOf(most), chunked);
      assert.equal(fits.status, 202, fits.text);
    }
    const { status, json } = await post(bodyOf(most + 1), true);
    assert.deepEqual([status, json.code], [413, 'message-too-large']);
    // Its length is enough to refuse it. Who still sends then may find the connection cut before it reads the answer.
    const fields = ['Host: localhost', `Authorization: Bearer ${erp}`, 'Content-Type: application/json'];
    const length = [`Content-Length: ${most + 1}`, 'Connection: close', '', ''];
    const answer = await api.raw(['POST /v1/messages HTTP/1.1', ...fields, ...length].join('\r\n'));
    assert.match(answer, /^HTTP\/1\.1 413 .*"message-too-large"/s);
    const [last] = (await api.call(erp, '/v1/messages?limit=1')).json.messages;
    const stored = (await storedOctets(api, last.id)).toString('latin1');
    const text = stored.slice(stored.indexOf('\r\n\r\n'));
    assert.equal(text.match(/x/g)?.length, most - frame.length);
  });

  it('with text alone, and with an attachment alone', async () => {
    const text = await api.post(erp, { partner: 'acme', text: 'x' });
    assert.equal((await mailOf(text.json.messages[0].id)).text?.trim(), 'x');
    const file = await api.post(erp, {
      partner: 'acme',
      attachments: [{ filename: 'empty.txt', content: '' }],
    });
    const { attachments } = await mailOf(file.json.messages[0].id);
    assert.deepEqual(
      attachments.map(({ filename, size }) => [filename, size]),
      [['empty.txt', 0]],
    );
    const none = await api.post(erp, { partner: 'acme', subject: 'nothing' });
    assert.deepEqual([none.status, none.json.code], [400, 'request-invalid']);
  });

  it('to recipients of two partners becomes one message for each', async () => {
    const { status, json } = await api.post(erp, {
      recipients: ['a@acme.example', 'b@other.example', 'c@acme.example'],
      text: 'x',
    });
    assert.equal(status, 202);
    assert.deepEqual(
      json.messages.map(({ partner, recipients }: { partner: string; recipients: string[] }) => [
        partner,
        recipients,
      ]),
      [
        ['acme', ['a@acme.example', 'c@acme.example']],
        ['other', ['b@other.example']],
      ],
    );
  });

  it('as a whole mail is kept octet for octet, but for fields that are missing', async () => {
    const mail = 'Subject: as it is\r\nFrom: <x@own.example>\r\n\r\nbody\r\n';
    const { status, json } = await api.call(erp, '/v1/messages?partner=acme', {
      method: 'POST',
      headers: { 'content-type': 'message/rfc822' },
      body: mail,
    });
    assert.equal(status, 202, JSON.stringify(json));
    const stored = (await storedOctets(api, json.messages[0].id)).toString();
    assert.ok(stored.endsWith(mail), stored);
    assert.match(stored, /^To: <edi@acme\.example>\r\nDate: .*\r\nMessage-ID: <.*>\r\n/);
  });

  it('as content of any type becomes an attachment', async () => {
    const octets = randomBytes(100_000);
    const query = new URLSearchParams({
      partner: 'acme',
      filename: 'größe.edi',
      metadata: '{"run":"9"}',
      priority: '10',
    });
    const { status, json } = await api.call(erp, `/v1/messages?${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/EDIFACT' },
      body: octets,
    });
    assert.equal(status, 202, JSON.stringify(json));
    const { attachments } = await mailOf(json.messages[0].id);
    assert.deepEqual(
      attachments.map(({ filename, contentType, content }) => [filename, contentType, content]),
      [['größe.edi', 'application/edifact', octets]],
    );
    const seen = await api.call(erp, `/v1/messages/${json.messages[0].id}`);
    assert.deepEqual([seen.json.metadata, seen.json.priority], [{ run: '9' }, 10]);
  });

  it('as a form is a JSON part and files', async () => {
    const form = new FormData();
    form.append('message', JSON.stringify({ partner: 'acme', subject: 'form', text: 'see below' }));
    const large = randomBytes(3_000_000);
    form.append('attachment', new Blob([large], { type: 'application/pdf' }), 'größe 注文.pdf');
    form.append('attachment', new Blob([]), 'empty.bin');
    const { status, json } = await api.call(erp, '/v1/messages', { method: 'POST', body: form });
    assert.equal(status, 202, JSON.stringify(json));
    const mail = await mailOf(json.messages[0].id);
    assert.deepEqual([mail.subject, mail.text?.trim()], ['form', 'see below']);
    assert.deepEqual(
      mail.attachments.map(({ filename, contentType, size }) => [filename, contentType, size]),
      [
        ['größe 注文.pdf', 'application/pdf', large.length],
        ['empty.bin', 'application/octet-stream', 0],
      ],
    );
    assert.deepEqual(mail.attachments[0]?.content, large);
  });

  it('repeated with its key is the same message, however it is framed; another request is refused', async () => {
    const key = randomKey();
    const headers = { 'idempotency-key': key };
    const sendForm = () => {
      const form = new FormData();
      form.append('message', '{"partner":"acme","text":"once"}');
      form.append('attachment', new Blob(['file']), 'a.txt');
      return api.call(erp, '/v1/messages', { method: 'POST', body: form, headers });
    };
    const [first, second] = [await sendForm(), await sendForm()];
    assert.equal(first.json.messages[0].id, second.json.messages[0].id);
    assert.deepEqual(
      [first, second].map(({ json }) => json.messages[0].duplicate),
      [false, true],
    );
    const other = await api.post(erp, { partner: 'acme', text: 'another' }, headers);
    assert.deepEqual([other.status, other.json.code], [409, 'idempotency-conflict']);
  });

  it('repeated as a mail with other lines of base64 and other line ends is the same; other octets are not', async () => {
    const content = randomBytes(600).toString('base64');
    const mail = (
      width: number,
      more: { boundary?: string; newline?: string; text?: string; data?: string } = {},
    ) => {
      const { boundary = 'one', newline = '\r\n', text = 'größe', data = content } = more;
      const lines = data.match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
      return [
        'From: <erp@own.example>',
        `Date: ${new Date(Date.now() + width).toUTCString()}`,
        `Message-ID: <${randomKey()}@own.example>`,
        'MIME-Version: 1.0',
        `Content-Type: multipart/mixed; boundary=${boundary}`,
        '',
        `--${boundary}`,
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: 8bit',
        '',
        text,
        `--${boundary}`,
        'Content-Type: application/octet-stream',
        'Content-Transfer-Encoding: base64',
        '',
        ...lines,
        `--${boundary}--`,
        '',
      ].join(newline);
    };
    const key = randomKey();
    const send = (body: string, query = '') =>
      api.call(erp, `/v1/messages?partner=acme${query}`, {
        method: 'POST',
        headers: { 'content-type': 'message/rfc822', 'idempotency-key': key },
        body,
      });
    const first = await send(mail(76));
    assert.equal(first.status, 202, first.text);
    for (const [what, again] of Object.entries({
      'the same': await send(mail(76)),
      'shorter lines': await send(mail(60, { boundary: 'two' })),
      'one long line': await send(mail(900)),
      'line ends of Unix': await send(mail(76, { newline: '\n' })),
      'the usual priority': await send(mail(76), '&priority=5'),
      'the sender of From, named': await send(mail(76), '&from=erp@own.example'),
    })) {
      assert.equal(again.json.messages?.[0].id, first.json.messages[0].id, `${what}: ${again.text}`);
      assert.equal(again.json.messages[0].duplicate, true, what);
    }
    for (const [what, other] of Object.entries({
      'another text': await send(mail(76, { text: 'große' })),
      'another line in the text': await send(mail(76, { text: 'größe\r\n' })),
      'other octets': await send(mail(76, { data: randomBytes(600).toString('base64') })),
      'another priority': await send(mail(76), '&priority=4'),
    }))
      assert.deepEqual([other.status, other.json.code], [409, 'idempotency-conflict'], what);
  });

  it('a time that is no day of the calendar is refused, not moved', async () => {
    for (const time of [
      '2027-02-29T08:00:00Z',
      '2027-04-31T08:00:00+02:00',
      '2027-13-01T08:00:00Z',
      '2027-01-01T08:00',
    ])
      assert.equal((await api.post(erp, { partner: 'acme', text: 'x', notBefore: time })).status, 400, time);
    const leap = await api.post(erp, { partner: 'acme', text: 'x', notBefore: '2028-02-29T08:00:00Z' });
    assert.equal(leap.status, 202);
  });

  it('repeated after its time with its key is the same; without one, or with a new one, it is refused', async () => {
    const over = '2026-01-01T00:00:00Z';
    const headers = { 'idempotency-key': randomKey() };
    const until = (seconds: number) => ({
      ...{ partner: 'acme', text: 'x' },
      notAfter: new Date(Date.now() + seconds * 1000).toISOString(),
    });
    let mail = until(2);
    let first = await api.post(erp, mail, headers);
    // On a machine that is very busy, its time may be over when it arrives.
    for (let seconds = 4; first.status === 400 && seconds < 120; seconds *= 2) {
      mail = until(seconds);
      first = await api.post(erp, mail, headers);
    }
    assert.equal(first.status, 202, first.text);
    await api.daemon.waitFor('its time is over', () => Date.now() > Date.parse(mail.notAfter));
    const again = await api.post(erp, mail, headers);
    assert.deepEqual(
      [again.status, again.json.messages?.[0].id, again.json.messages?.[0].duplicate],
      [202, first.json.messages[0].id, true],
    );
    for (const more of [{}, { 'idempotency-key': randomKey() }]) {
      const late = await api.post(erp, { ...mail, notAfter: over }, more);
      assert.deepEqual([late.status, late.json.code], [400, 'request-invalid']);
      assert.match(late.json.detail, /notAfter/);
    }
  });
});
