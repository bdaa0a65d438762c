/** The rules over a real Redis: what is measured, by which process, and how it is told. The clock is given. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import { AlertBook } from '../../src/alert/book.ts';
import { type Channel, Courier } from '../../src/alert/courier.ts';
import { Evaluator } from '../../src/alert/evaluator.ts';
import { FailureCounter } from '../../src/alert/failures.ts';
import { listAlerts, silenceAlerts, tellTest, unsilenceAlerts } from '../../src/alert/index.ts';
import { silentSamples } from '../../src/alert/measures.ts';
import type { AlertChange } from '../../src/alert/types.ts';
import { EndingLists } from '../../src/certstore/ending-lists.ts';
import type { Config } from '../../src/config/index.ts';
import { leave } from '../../src/daemon/presence.ts';
import { createLog } from '../../src/log.ts';
import { readName } from '../../src/pki/name.ts';
import { isEnding } from '../../src/pki/revocation-cache.ts';
import { destinationRoute, type QueueRoom } from '../../src/queue/index.ts';
import { lifetimes } from '../../src/redis/index.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue, testConfig, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

const minute = 60_000;
const hour = 60 * minute;
const log = createLog('silent', 'test');
/** A name with a common name alone (X.501). */
function commonName(text: string) {
  const value = Buffer.from(text);
  const attribute = Buffer.from([0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, value.length, ...value]);
  const wrap = (tag: number, inner: Buffer) => Buffer.from([tag, inner.length, ...inner]);
  return readName(wrap(0x30, wrap(0x31, wrap(0x30, attribute))));
}

const directory = { type: 'directory', path: '/tmp/none' };

describe('alerts over Redis', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  let config: Config;
  let now: number;
  const clock = () => now;
  const settings = {
    mailboxes: [{ name: 'orders', addresses: ['orders@own.example'], destinations: [directory] }],
    partners: [
      { name: 'acme', addresses: ['a@acme.example'], encrypt: false, sign: 'none' },
      { name: 'other', addresses: ['o@other.example'], encrypt: false, sign: 'none' },
    ],
  };
  useTestQueue((opened) => {
    server = opened.server;
  }, {});
  beforeEach(async (t) => {
    now = Date.now();
    const own = { ...settings, redis: { url: server.url, prefix: `{a${randomUUID().slice(0, 8)}}` } };
    config = testConfig(server, own);
    queue = await openTestQueue(server, own, clock);
    if ('after' in t) t.after(() => queue.close());
  });

  const evaluator = (more: Partial<Config['alerts']> = {}) =>
    new Evaluator({ config: { ...config, alerts: { ...config.alerts, ...more } }, queue, log, now: clock });
  const book = () => new AlertBook(queue);
  const told = async (after = '0-0') =>
    (await book().changes(after)).changes.map(({ kind, alert }) => `${kind} ${alert.rule}`);

  async function suspendOne(partner = 'acme', reason = 'send-refused'): Promise<string> {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('x'));
    const envelope = { from: 'o@own.example', to: ['a@acme.example'] };
    const entry = { partner, envelope, origin: { kind: 'command' as const, detail: {} }, messageId: null };
    const [result] = await queue.intake.commitOutbound(writer, [entry]);
    const id = result?.id ?? '';
    const ref = await queue.flow.originalOf(id);
    assert.ok(ref);
    const job = { ...entry, id, direction: 'outbound' as const, receivedAt: now, octets: ref };
    await queue.flow.suspend('outbound', job, reason);
    return id;
  }

  it('has one alert for fourteen suspended messages, and another one for another partner; both end', async () => {
    const ids: string[] = [];
    for (let at = 0; at < 14; at++) ids.push(await suspendOne());
    const other = await suspendOne('other', 'expired');
    const looks = evaluator();
    await looks.look();
    const { alerts } = await listAlerts(book(), now);
    assert.deepEqual(
      alerts.map(({ rule, labels, value }) => [rule, labels.partner, labels.reason, value]).sort(),
      [
        ['suspended', 'acme', 'send-refused', 14],
        ['suspended', 'other', 'expired', 1],
      ],
    );
    assert.match(
      alerts.find(({ labels }) => labels.partner === 'acme')?.text ?? '',
      /^14 messages for acme wait for a person: /,
    );
    for (const id of ids) await queue.flow.terminate(id, 'test');
    await looks.look();
    assert.deepEqual(await told(), ['fired suspended', 'fired suspended', 'cleared suspended']);
    await queue.flow.resume(other);
    await looks.look();
    assert.equal((await listAlerts(book(), now)).alerts.length, 0);
    await looks.stop();
  });

  it('is looked after by one process at a time, and by another one when that has gone', async () => {
    const [first, second] = [evaluator(), evaluator()];
    await first.look();
    await suspendOne();
    await second.look();
    assert.deepEqual([first.isMine, second.isMine, await told()], [true, false, []]);
    await first.look();
    assert.equal((await told()).length, 1);
    await first.stop();
    await second.look();
    assert.deepEqual([second.isMine, (await told()).length], [true, 1]);
    await second.stop();
  });

  it('says that a message has waited, but not for one that shall leave later', async () => {
    const entry = (delivery?: { notBefore: number }) => ({
      ...{ partner: 'acme', envelope: { from: '', to: ['a@acme.example'] }, messageId: null },
      ...{ origin: { kind: 'command' as const, detail: {} }, ...(delivery && { delivery }) },
    });
    for (const delivery of [undefined, { notBefore: now + 5 * hour }]) {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('x'));
      await queue.intake.commitOutbound(writer, [entry(delivery)]);
    }
    const looks = evaluator();
    now += 31 * minute;
    await looks.look();
    const waiting = async () =>
      (await listAlerts(book(), now)).alerts.filter(({ rule }) => rule === 'waiting');
    const [alert, ...more] = await waiting();
    assert.deepEqual(
      [alert?.labels, alert?.value, more.length],
      [{ direction: 'outbound', partner: 'acme' }, 31 * minute, 0],
    );
    now += 30 * minute;
    await looks.look();
    assert.ok((await told()).includes('fired overdue'));
    await looks.stop();
  });

  it('says nothing of what a person has paused, and says it when that goes on', async () => {
    const send = async (partner: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('x'));
      const envelope = { from: '', to: ['a@acme.example'] };
      const origin = { kind: 'command' as const, detail: {} };
      await queue.intake.commitOutbound(writer, [{ partner, envelope, origin, messageId: null }]);
    };
    await send('acme');
    await send('other');
    const { id } = await accept(queue, 'decoded', 'orders');
    const data = await queue.redis.hget(`${queue.prefix}:inbound:${id}`, 'data');
    const content = { content: queue.spool.create(), result: Buffer.from('{}'), facts: {} };
    const from = { partner: null, partnerBy: null };
    await queue.flow.decoded(JSON.parse(data ?? ''), { ...content, ...from, destinations: ['directory'] });
    const [mailbox] = config.mailboxes;
    const destination = mailbox?.destinations[0];
    assert.ok(destination);
    const way = destinationRoute('orders', destination).name;
    const paused = { at: now, by: 'ada', why: 'test' };
    await queue.routes.pause('partner', 'acme', paused);
    await queue.routes.pause('destination', way, paused);
    const overdue = async () =>
      (await listAlerts(book(), now)).alerts
        .filter(({ rule }) => rule === 'overdue')
        .map(({ labels }) => labels.partner ?? labels.mailbox)
        .sort();
    const looks = evaluator();
    now += 61 * minute;
    await looks.look();
    assert.deepEqual(await overdue(), ['other']);
    await queue.routes.resume('destination', way);
    await looks.look();
    assert.deepEqual(await overdue(), ['orders', 'other']);
    await queue.routes.resume('partner', 'acme');
    await looks.look();
    assert.deepEqual(await overdue(), ['acme', 'orders', 'other']);
    await looks.stop();
  });

  it('knows roles, mailboxes, disks and memory by what processes leave in Redis', async () => {
    const beat = (troubles: object[] = [], refusing: string | null = null) =>
      leave(
        queue,
        'alive',
        'receive',
        { role: 'receive', host: 'h', pid: 1, at: now, refusing, troubles },
        hour,
      );
    const metrics = (free: number) =>
      leave(
        queue,
        'metrics',
        'receive',
        {
          labels: { role: 'receive', instance: 'h:1' },
          metrics: [
            { name: 'sealpost_disk_free_octets', values: [{ labels: {}, value: free }] },
            { name: 'sealpost_disk_limit_octets', values: [{ labels: {}, value: 100 }] },
            { name: 'sealpost_redis_memory_octets', values: [{ labels: {}, value: 84 }] },
            { name: 'sealpost_redis_memory_limit_octets', values: [{ labels: {}, value: 100 }] },
          ],
        },
        hour,
      );
    config = testConfig(server, {
      ...settings,
      smtp: { listen: [{ port: 0 }] },
      mailboxes: [{ ...settings.mailboxes[0], imap: { host: 'mail', user: 'u', password: { env: 'X' } } }],
    });
    const looks = evaluator();
    await beat(
      [{ what: 'mailbox orders', mailbox: 'orders', since: now - 11 * minute, why: 'no answer' }],
      'full',
    );
    await metrics(199);
    await looks.look();
    const now1 = await listAlerts(book(), now);
    const rules = (state: string) =>
      now1.alerts
        .filter((each) => each.state === state)
        .map(({ rule }) => rule)
        .sort();
    assert.deepEqual([rules('firing'), rules('pending')], [['disk', 'mailbox', 'memory'], ['refusing']]);
    // others of the daemon have never been there
    now += 3 * minute;
    await beat();
    await metrics(250);
    await looks.look();
    const { alerts } = await listAlerts(book(), now);
    assert.deepEqual(alerts.map(({ rule, labels: { role = '' } }) => `${rule} ${role}`.trim()).sort(), [
      'memory',
      'role decrypt',
      'role handoff',
      'role outbound',
    ]);
    await looks.stop();
  });

  it('keeps what it knows of mailboxes while nobody is there who reads them', async () => {
    config = testConfig(server, {
      ...settings,
      mailboxes: [{ ...settings.mailboxes[0], imap: { host: 'mail', user: 'u', password: { env: 'X' } } }],
    });
    const since = now - 11 * minute;
    const trouble = { what: 'mailbox orders', mailbox: 'orders', since, why: 'no answer' };
    const beat = { role: 'receive', host: 'h', pid: 1, at: now, refusing: null, troubles: [trouble] };
    await leave(queue, 'alive', 'receive', beat, hour);
    const looks = evaluator();
    await looks.look();
    const names = await queue.redis.smembers(`${queue.prefix}:alive`);
    await queue.redis.del(...names);
    await looks.look();
    assert.deepEqual(await told(), ['fired mailbox']);
    await looks.stop();
  });

  it('knows what ends by what the roles with certificates have published, until something follows', async () => {
    const publish = (name: string, list: object[]) =>
      queue.redis.set(`${queue.prefix}:expiry:${name}`, JSON.stringify(list));
    const of = (owner: string, days: number, more: object = {}) => ({
      ...{ owner, partner: '', uses: ['verify'], until: now + days * 24 * hour, certificate: `CN=${owner}` },
      ...{ id: owner.padEnd(64, '0'), hint: 'renew it' },
      ...more,
    });
    const looks = evaluator();
    await looks.look();
    assert.deepEqual(await told(), [], 'nobody has looked yet');
    await publish('due', [of('partner acme', 59, { partner: 'acme' }), of('smtp.tls', 3), of('trust', 61)]);
    const list = (end: number) => ({
      issuerName: commonName(`CA ${end}`),
      thisUpdate: new Date(now - 10 * 24 * hour),
      nextUpdate: new Date(now + end * 24 * hour),
    });
    // two processes, of which one has a list that has ended
    let lists = [list(-0.5)];
    const told1 = new EndingLists({ queue, now: clock, lists: () => lists });
    const told2 = new EndingLists({ queue, now: clock, lists: () => [list(-0.5), list(0.5)] });
    await told1.publish();
    await told2.publish();
    now += minute;
    await looks.look();
    const found = (await listAlerts(book(), now)).alerts.map(({ severity, labels, text }) => [
      ...[severity, labels.owner, /ended|ends in \d+ days/.exec(text)?.[0]],
    ]);
    assert.deepEqual(found.sort(), [
      ['critical', 'revocation list', 'ended'],
      ['critical', 'revocation list', 'ends in 0 days'],
      ['critical', 'smtp.tls', 'ends in 2 days'],
      ['warning', 'partner acme', 'ends in 58 days'],
    ]);
    // a newer one has come to one process, and the other one has ended since
    lists = [];
    await told1.publish();
    const listed = async () =>
      (await listAlerts(book(), now)).alerts.filter(({ labels }) => labels.owner === 'revocation list')
        .length;
    now += minute;
    await looks.look();
    assert.equal(await listed(), 1);
    now += lifetimes.listSeen;
    await looks.look();
    assert.equal(await listed(), 0);
    // a month later, another threshold is reached, and the others are renewed
    now += 30 * 24 * hour;
    const until = now + 29 * 24 * hour;
    await publish('due', [of('partner acme', 0, { partner: 'acme', until })]);
    const before = await book().newest();
    await looks.look();
    const changes = (await told(before)).filter((each) => each.endsWith(' certificate')).sort();
    assert.deepEqual(changes, ['cleared certificate', 'worse certificate']);
    await looks.stop();
  });

  it('takes a list for late when a tenth of its time is left, and not before', () => {
    const day = 24 * hour;
    const list = { thisUpdate: new Date(0), nextUpdate: new Date(10 * day) };
    const at = (days: number) => isEnding(list, new Date(days * day));
    assert.deepEqual([at(8.9), at(9), at(11)], [false, true, true]);
    assert.equal(isEnding({ thisUpdate: new Date(0), nextUpdate: undefined }, new Date(day)), false);
  });

  it('knows a route that is down, and one that works again', async () => {
    const kept = { since: now - 11 * minute, last: now, reason: 'send-failed', why: 'mx: no answer' };
    await queue.redis.hset(`${queue.prefix}:sick:outbound`, 'acme', JSON.stringify(kept));
    const looks = evaluator();
    await looks.look();
    const [alert] = (await listAlerts(book(), now)).alerts;
    assert.deepEqual([alert?.rule, alert?.labels], ['route', { partner: 'acme', direction: 'outbound' }]);
    await queue.redis.hdel(`${queue.prefix}:sick:outbound`, 'acme');
    await looks.look();
    assert.deepEqual(await told(), ['fired route', 'cleared route']);
    await looks.stop();
  });

  it('is silenced by a person for a time, on record; what lasts is told after that', async () => {
    await suspendOne();
    const acting = () => ({ book: book(), audit: queue.audit, now, by: 'eve@host' });
    const silence = await silenceAlerts(acting(), {
      match: { partner: 'acme' },
      until: now + hour,
      why: 'known',
    });
    const looks = evaluator();
    await looks.look();
    assert.deepEqual(await told(), []);
    const [alert] = (await listAlerts(book(), now)).alerts;
    assert.deepEqual([alert?.state, alert?.silencedBy], ['firing', silence.id]);
    const [entry] = await queue.audit.list({});
    assert.deepEqual([entry?.what, entry?.by, entry?.subject], ['alert-silence', 'eve@host', 'partner acme']);
    now += hour + 1;
    await looks.look();
    // by now it has waited, too
    assert.ok((await told()).includes('fired suspended'));
    const again = await silenceAlerts(acting(), { match: { rule: 'disk' }, until: now + hour, why: 'x' });
    await unsilenceAlerts(acting(), again.id);
    await assert.rejects(unsilenceAlerts(acting(), again.id), { code: 'silence-unknown' });
    await assert.rejects(silenceAlerts(acting(), { match: {}, until: now + 91 * 24 * hour, why: '' }), {
      code: 'usage',
    });
    assert.deepEqual(
      (await queue.audit.list({})).map(({ what }) => what),
      ['alert-unsilence', 'alert-silence', 'alert-silence'],
    );
    await looks.stop();
  });

  it('holds no silence that could not be put on record', async () => {
    const audit = { add: async () => Promise.reject(new Error('no audit')) };
    const acting = { book: book(), audit, now, by: 'eve' };
    await assert.rejects(silenceAlerts(acting, { match: { rule: 'disk' }, until: now + hour, why: '' }));
    assert.deepEqual(await book().silences(now), []);
  });

  it('compares failures with the same hour of last week, and needs some', async () => {
    const week = 7 * 24 * hour;
    const counter = new FailureCounter(book());
    const metric = (value: number, instance = 'h:1') => [
      { name: 'jobs_total', role: 'outbound', instance, labels: { outcome: 'retry' }, value },
    ];
    assert.equal((await counter.count(metric(100), now)).before, undefined);
    await book().countFailures(now - week, 4);
    now += minute;
    assert.deepEqual(await counter.count(metric(110), now), { last: 10, before: 4 });
    // a process that was started again counts from zero
    now += minute;
    assert.deepEqual(await counter.count(metric(3), now), { last: 13, before: 4 });
    // nobody looked for long: what was counted meanwhile belongs to no hour
    now += 30 * minute;
    assert.equal((await counter.count(metric(500), now)).last, 13);
  });

  it('says that nothing has come from a partner that sends every day', async () => {
    const day = 24 * hour;
    const came: Record<string, number[]> = {
      daily: Array.from({ length: 20 }, (_, back) => now - 2 * day - back * day),
      weekdays: [now - 7 * day - 5 * hour, now - 14 * day - 5 * hour],
      today: Array.from({ length: 20 }, (_, back) => now - hour - back * day),
    };
    const ledger = {
      list: async ({ partner = '', since = 0, until = 0 }) => {
        const found = (came[partner] ?? []).filter((at) => at >= since && at < until);
        const messages = found.length === 0 ? [] : [{ receivedAt: Math.max(...found) }];
        return { messages, cursor: null };
      },
    };
    const partners = ['daily', 'weekdays', 'today', 'never'].map((name) => ({ name }));
    const { signal } = new AbortController();
    const found = await silentSamples({ now, signal, config: { partners }, queue: { ledger } } as never);
    assert.deepEqual(
      found.map(({ labels, value }) => [labels.partner, value]),
      [['daily', 2 * day]],
    );
  });

  it('asks for no further partner when the process ends', async () => {
    const stopping = new AbortController();
    const asked: string[] = [];
    const ledger = {
      list: async ({ partner = '' }) => {
        asked.push(partner);
        if (asked.length === 3) stopping.abort();
        return { messages: [], cursor: null };
      },
    };
    const partners = Array.from({ length: 1000 }, (_, at) => ({ name: `p${at}` }));
    const { signal } = stopping;
    await assert.rejects(silentSamples({ now, signal, config: { partners }, queue: { ledger } } as never));
    assert.deepEqual(asked, ['p0', 'p1', 'p2']);
  });

  describe('channels', () => {
    const changes: AlertChange[][] = [];
    let outcome: { done: string } | { failed: string } = { done: 'ok' };
    const channel = (more: Partial<Channel> = {}): Channel => ({
      ...{ name: 'mail', gather: minute, perHour: 2, close: async () => undefined },
      deliver: async (all) => {
        changes.push([...all]);
        return outcome;
      },
      ...more,
    });
    const courier = (of = channel()) =>
      new Courier({ channel: of, book: book(), isMine: () => true, log, now: clock });
    const signal = new AbortController().signal;
    const tell = (rule: string) =>
      book().tell('fired', now, {
        ...{ id: rule, rule, condition: 'disk', severity: 'warning', labels: {}, value: 0, text: rule },
        ...{ hint: null, state: 'firing', since: now, firedAt: now },
      });
    beforeEach(() => {
      changes.length = 0;
      outcome = { done: 'ok' };
    });

    it('begin with what happens from now on, and gather what comes together', async () => {
      await tell('before');
      const tells = courier();
      await tells.step(signal);
      await tell('one');
      assert.equal(await tells.step(signal), 'idle');
      now += minute / 2;
      await tell('two');
      now += minute / 2;
      await tells.step(signal);
      assert.deepEqual(
        changes.map((all) => all.map(({ alert }) => alert.rule)),
        [['one', 'two']],
      );
      assert.equal(await tells.step(signal), 'idle');
    });

    it('deliver so many in an hour, and lose nothing', async () => {
      const tells = courier();
      await tells.step(signal);
      for (const rule of ['one', 'two', 'three', 'four']) {
        await tell(rule);
        now += minute;
        await tells.step(signal);
      }
      assert.equal(changes.length, 2);
      now += hour;
      await tells.step(signal);
      assert.deepEqual(
        changes[2]?.map(({ alert }) => alert.rule),
        ['three', 'four'],
      );
    });

    it('try again what failed, go on where they were, and say what is wrong', async () => {
      const tells = courier();
      await tells.step(signal);
      await tell('one');
      now += minute;
      outcome = { failed: 'no answer' };
      assert.equal(await tells.step(signal), 'failed');
      assert.equal(tells.trouble?.why, 'no answer');
      // another process goes on
      const next = courier();
      outcome = { done: 'ok' };
      await next.step(signal);
      assert.deepEqual(
        [changes.length, next.trouble, (await book().channel('mail'))?.outcome],
        [2, undefined, 'ok'],
      );
    });

    it('tell a test at once', async () => {
      const tells = courier(channel({ perHour: 1 }));
      await tells.step(signal);
      await tellTest(book(), 'me', now);
      await tells.step(signal);
      await tellTest(book(), 'me', now);
      await tells.step(signal);
      assert.deepEqual(
        changes.map(([first]) => first?.kind),
        ['test', 'test'],
      );
    });
  });
});
