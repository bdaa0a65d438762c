/**
 * What a program does with messages over HTTP, and what it sees of them: content, original, and each act that succeeds.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { startApi, type TestApi } from '../support/api.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('acts and content over HTTP', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let hook: Hook;
  let api: TestApi;
  /** May do everything with mailbox orders; only reads; does everything with mailbox other. */
  let all: string;
  let reads: string;
  let other: string;
  before(async () => {
    hook = await startHook();
    const secret = { file: world.file('hook.secret', 'a secret of the web hook') };
    const destinations = [{ type: 'webhook', url: hook.url, secret, allowPrivate: true }];
    api = await startApi(world, {
      args: ['--only', 'api,receive,decrypt,handoff'],
      config: {
        mailboxes: [
          { name: 'orders', addresses: ['orders@own.example'], destinations, keepSubjects: true },
          { name: 'other', addresses: ['other@own.example'], destinations },
        ],
        retention: { original: '1d' },
        // Who waits for the next attempt waits long.
        retry: { attempts: 2, firstDelay: '1h', maxDelay: '1h' },
      },
    });
    const verbs = 'send,read,content,resume,retry,decode-again,terminate';
    all = await api.token('all', '--scope', verbs, '--mailbox', 'orders');
    reads = await api.token('reads', '--scope', 'read', '--mailbox', 'orders');
    other = await api.token('other', '--scope', verbs, '--mailbox', 'other');
  });
  after(async () => {
    await api?.daemon.stop();
    hook?.close();
    world.remove();
  });

  const act = (token: string, id: string, what: string, body: object = {}) =>
    api.call(token, `/v1/messages/${id}/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const keysOf = (id: string) =>
    hook.posted
      .filter(({ body }) => JSON.parse(body).id === id)
      .map(({ headers }) => headers['idempotency-key']);
  const waits = (id: string) =>
    api.daemon.waitFor('it waits for its next attempt', async () => {
      const { json } = await api.call(reads, `/v1/messages/${id}`);
      return json.attempts === 1 && json.nextAttempt !== null ? json : undefined;
    });
  /** A message that the webhook refuses as often as it is tried. */
  const refused = async (text: string) => {
    hook.answers.push(410, 410);
    const mail = world.mail(textEntity(text));
    const id = await api.daemon.accept(mail);
    await waits(id);
    assert.equal((await act(all, id, 'retry')).status, 200);
    await api.daemon.reaches(id, 'suspended');
    return { id, mail };
  };

  it('a search by subject is a POST, for who may read content: no address has what is looked for', async () => {
    const protectedSubject = 'Content-Type: text/plain\r\nSubject: Zylinderkopf\r\n\r\ntext\r\n';
    const header = `From: edi@partner.example\r\nTo: orders@own.example\r\nSubject: Zylinderkopf\r\n`;
    const id = await api.daemon.accept(world.mail(protectedSubject, { header }));
    await api.daemon.reaches(id, 'delivered');
    const search = (token: string, wanted: unknown) =>
      api.call(token, '/v1/messages/search', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(wanted),
      });
    const found = async (token: string, wanted: unknown) => {
      const { status, json } = await search(token, wanted);
      assert.equal(status, 200);
      return json.messages.map((each: { id: string }) => each.id);
    };
    assert.deepEqual(await found(all, { subject: 'ZYLINDER', limit: 10 }), [id]);
    assert.deepEqual(await found(all, { subject: 'kurbel' }), []);
    // without a subject, as the list
    assert.ok((await found(reads, { mailbox: 'orders' })).includes(id));
    assert.deepEqual(await found(other, {}), []);
    assert.equal((await search(reads, { subject: 'ZYLINDER' })).status, 403);
    for (const wrong of [{ subject: '' }, { subject: 1 }, { limit: '10' }, { limit: 201 }, { other: 1 }, []])
      assert.equal((await search(all, wrong)).status, 400, JSON.stringify(wrong));
    const listed = await api.call(all, '/v1/messages?subject=Zylinder');
    assert.deepEqual([listed.status, listed.json.code], [400, 'request-invalid']);
  });

  it('a suspended message: its content is what was encrypted, its original what came, each by its scope', async () => {
    const { id, mail } = await refused('what was inside');
    const content = await api.call(all, `/v1/messages/${id}/content`);
    assert.deepEqual([content.status, content.headers.get('content-type')], [200, 'message/rfc822']);
    assert.match(
      content.headers.get('content-disposition') ?? '',
      new RegExp(`^attachment; filename="${id}\\.eml"`),
    );
    assert.equal((await simpleParser(content.text)).text?.trim(), 'what was inside');
    const original = await api.call(all, `/v1/messages/${id}/original`);
    assert.equal(original.status, 200);
    assert.ok(original.text.includes(mail.toString('latin1').trim()));
    assert.ok(!original.text.includes('what was inside'));
    for (const what of ['content', 'original']) {
      const without = await api.call(reads, `/v1/messages/${id}/${what}`);
      assert.deepEqual([without.status, without.json.code], [403, 'not-granted'], what);
      // Another mailbox: the same answer as for a message that never was.
      const [foreign, unknown] = [
        await api.call(other, `/v1/messages/${id}/${what}`),
        await api.call(other, `/v1/messages/i${'0'.repeat(id.length - 1)}/${what}`),
      ];
      assert.deepEqual(
        [foreign.status, foreign.text.replaceAll(id, 'ID')],
        [404, unknown.text.replaceAll(/i0+/g, 'ID')],
        what,
      );
    }
    const looks = (await api.daemon.queue.audit.list({ id })).map(
      ({ what, by }) => `${what} ${by.split(',')[0]}`,
    );
    assert.deepEqual(looks.sort(), ['content client all', 'original client all', 'retry client all']);
  });

  it('resume does the step again, which succeeds under the same key', async () => {
    const { id } = await refused('resume me');
    assert.equal((await act(reads, id, 'resume')).status, 403);
    assert.equal((await act(other, id, 'resume')).status, 404);
    const { status, json } = await act(all, id, 'resume', { why: 'the webhook is mended' });
    assert.deepEqual([status, json.id], [200, id]);
    await api.daemon.reaches(id, 'delivered');
    const keys = keysOf(id);
    assert.deepEqual([keys.length, new Set(keys).size], [3, 1]);
    const [entry] = await api.daemon.queue.audit.list({ id });
    assert.deepEqual(
      [entry?.what, entry?.why, entry?.by.startsWith('client all, token ')],
      ['resume', 'the webhook is mended', true],
    );
    const again = await act(all, id, 'resume');
    assert.deepEqual([again.status, again.json.code], [409, 'message-state']);
  });

  it('retry tries what waits an hour for its next attempt at once', async () => {
    hook.answers.push(503);
    const id = await api.daemon.accept(world.mail(textEntity('retry me')));
    const waiting = await waits(id);
    assert.ok(Date.parse(waiting.nextAttempt) > Date.now() + 300_000, waiting.nextAttempt);
    assert.match(JSON.stringify(waiting.lastError ?? waiting), /503/);
    assert.equal((await act(other, id, 'retry')).status, 404);
    assert.equal((await act(all, id, 'retry')).status, 200);
    await api.daemon.reaches(id, 'delivered');
    assert.equal(new Set(keysOf(id)).size, 1);
  });

  it('decode-again delivers a delivered message again, under another key', async () => {
    const id = await api.daemon.accept(world.mail(textEntity('decode me again')));
    await api.daemon.reaches(id, 'delivered');
    assert.equal((await act(reads, id, 'decode-again')).status, 403);
    assert.equal((await act(all, id, 'decode-again')).status, 200);
    await api.daemon.waitFor('it is delivered again', () => keysOf(id).length === 2);
    assert.equal(new Set(keysOf(id)).size, 2);
    await api.daemon.reaches(id, 'delivered');
  });

  it('terminate ends it for good, and its octets are gone', async () => {
    const { id } = await refused('the end');
    const without = await act(all, id, 'terminate');
    assert.deepEqual([without.status, without.json.code], [400, 'request-invalid']);
    const ended = await act(all, id, 'terminate', { why: 'not ours' });
    assert.deepEqual([ended.status, ended.json], [200, { id, state: 'terminated' }]);
    for (const what of ['content', 'original']) {
      const { status, json } = await api.call(all, `/v1/messages/${id}/${what}`);
      assert.deepEqual([status, json.code], [410, 'original-gone'], what);
    }
    for (const what of ['resume', 'retry'])
      assert.equal((await act(all, id, what)).json.code, 'message-state', what);
    assert.equal(keysOf(id).length, 2);
  });
});
