/**
 * Messages that wait for a certificate or key go on by themselves, in order, each once for a change; and what partners
 * change, or a rule approves, releases neither more nor sooner than it should.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CountingCertificates } from '../../src/certstore/counting.ts';
import { CertStore, type NewCertificate } from '../../src/certstore/index.ts';
import { KeyStanding } from '../../src/certstore/standing.ts';
import { createLog } from '../../src/log.ts';
import { outboundProtection, type PartnerCertificate } from '../../src/partner/index.ts';
import { sendStep } from '../../src/pipeline/send.ts';
import { type Held, type InboundJob, mostReplays, type QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { ReplayWatch, replayMessages, standingsOf } from '../../src/replay/index.ts';
import { replayBatch } from '../../src/replay/replay.ts';
import { entryOf, ownOf } from '../partner/support.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { accept, until } from '../support/messages.ts';
import { commitOne, testConfig, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

const hour = 3_600_000;
const log = createLog('silent', 'test');
const ca = createTestCa('Replay Root');
const own = ca.issue({ commonName: 'own', email: 'us@own.example' });
const names = ['acme', 'bolt'] as const;
type Name = (typeof names)[number];

describe('replay', () => {
  let clock = Date.now();
  const now = () => clock;
  let queue: QueueRoom;
  let server: TestRedis;
  useTestQueue(
    (opened) => {
      ({ queue, server } = opened);
    },
    { partners: names.map((name) => ({ name, addresses: [`@${name}.example`], identity: 'own' })) },
    now,
  );

  const issued = (name: string, days = 30): Issued =>
    ca.issue({
      commonName: name,
      email: `edi@${name}.example`,
      notBefore: new Date(clock - hour),
      notAfter: new Date(clock + days * 24 * hour),
      freshKey: true,
    });

  /** A partner's certificates, our keys, and all that decides and sends with them. */
  async function installation(onKeys: Record<string, unknown> = {}) {
    await queue.redis.flushdb();
    const partners = names.map((name) => ({ name, addresses: [`@${name}.example`], identity: 'own' }));
    const config = testConfig(server, { partners, retry: { onKeys } });
    const configured = new Map<string, PartnerCertificate[]>(names.map((name) => [name, []]));
    const mailbox: Issued[] = [];
    const store = await CertStore.open({
      ...{ redis: queue.redis, prefix: queue.prefix, seal: queue.seal, unseal: queue.unseal },
      ...{ log, now, folder: `${server.dataDir}/none` },
    });
    const trust = { anchors: [], intermediates: [] };
    const values = sealedValues(queue, 'standing');
    /** As a role that starts has them: a changed configuration makes them anew. */
    const opened = () => {
      const keys = {
        identities: [ownOf(own.identity, { name: 'own' })],
        partners: configured as never,
        mailboxes: new Map([['edi', { identities: mailbox.map(({ identity }) => identity), trust }]]),
      };
      const counting = new CountingCertificates(store, keys);
      const standing = new KeyStanding({ config, keys, counting });
      const watch = (direction: Held['direction']) =>
        new ReplayWatch({
          ...{ direction, config, queue, standing, values, log, now },
          onChange: (listener) => store.onChange(listener),
        });
      return { counting, standing, watch };
    };
    const order: string[] = [];
    let late: string[] = [];
    /** What inbound messages are suspended for, by id: a key is missing, unless it says something else. */
    const failing = new Map<
      string,
      { reason: 'policy-refused' | 'signature-invalid'; partner: Name | null }
    >();
    /** Lets the real step work on what is queued, until nothing is. */
    const work = async () => {
      const { counting, standing } = opened();
      const step = sendStep({
        ...{ spool: queue.spool, flow: queue.flow, limits: config.limits, hostname: 'own.example' },
        route: (name) => {
          const partner = config.partners.find((each) => each.name === name);
          return (
            partner && {
              partner,
              sender: {
                async send(message) {
                  for await (const _ of message.octets());
                  order.push(String(message.id));
                  return { done: true };
                },
              },
            }
          );
        },
        protection: (partner) => outboundProtection(partner, counting, new Date(clock)),
        ...{ trace: () => 'trace', isOwn: () => false, dkim: [], now, opensAt: (_windows, at) => at },
        judgedWith: (partner, reason) =>
          standing.digest({ direction: 'outbound', reason, mailbox: null, partner }, new Date(clock)),
      });
      const outbound = await queue.queues.createWorker('outbound', step, { concurrency: 1 });
      const inbound = await queue.queues.createWorker(
        'inbound',
        async (job: InboundJob) => {
          if (late.includes(job.id)) return { suspend: 'internal' };
          const { reason, partner } = failing.get(job.id) ?? { reason: 'decrypt-no-key', partner: null };
          const waiting = { direction: 'inbound', reason, mailbox: 'edi', partner } as const;
          return {
            suspend: reason,
            facts: { keys: standing.digest(waiting, new Date(clock)) },
            from: { partner, partnerBy: partner === null ? null : 'address' },
          };
        },
        { concurrency: 1 },
      );
      await until(async () => {
        const { queued, received } = await queue.ledger.count();
        return queued + received === 0;
      });
      await Promise.all([outbound.close(1000), inbound.close(1000)]);
    };
    const look = async (direction: Held['direction'] = 'outbound') => {
      const watch = opened().watch(direction);
      await watch.look();
      await watch.stop();
    };
    const approve = async (name: Name, by: string): Promise<Issued> => {
      const made = issued(name);
      const facts: NewCertificate = {
        ...{ partner: name, uses: ['encrypt', 'verify'], from: null, until: null },
        ...{ source: 'traffic', findings: [], rule: null, announcedBy: null, message: null },
      };
      await store.offer(made.certificate, facts);
      await store.decide(made.certificate.thumbprint, 1, 'approved', { by, why: 'test' });
      return made;
    };
    const setLate = (ids: string[]) => {
      late = ids;
    };
    return {
      ...{ config, configured, mailbox, store, values, order, failing },
      ...{ work, look, approve, opened, setLate },
    };
  }

  let minute = 0;
  async function submit(name: Name, delivery = {}): Promise<string> {
    const writer = queue.intake.begin();
    void writer.write(Buffer.from(`Subject: order ${minute}\r\nContent-Type: text/plain\r\n\r\n4711\r\n`));
    minute += 1;
    clock += 1000;
    const envelope = { from: 'us@own.example', to: [`edi@${name}.example`] };
    const origin = { kind: 'command', detail: {} } as const;
    return (await commitOne(queue, writer, { partner: name, origin, envelope, messageId: null, delivery }))
      .id;
  }
  /** Two are in hand at once: the place of the process and that of the route. So neighbours may change places. */
  function assertSent(order: string[], ids: string[]) {
    const places = order.map((id) => ids.indexOf(id));
    assert.deepEqual(
      places.toSorted((a, b) => a - b),
      [...ids.keys()],
    );
    assert.ok(
      places.every((place, at) => Math.abs(place - at) <= 2),
      places.join(),
    );
  }
  const stateOf = async (id: string) => {
    const record = await queue.ledger.get(id);
    return record?.reason ?? record?.state;
  };

  it('sends in the order of submission what waits for a certificate, and leaves the other partner its mail', async () => {
    const { configured, order, work, look } = await installation();
    const acme = [await submit('acme'), await submit('acme'), await submit('acme')];
    const bolt = await submit('bolt');
    await work();
    for (const id of [...acme, bolt]) assert.equal(await stateOf(id), 'encode-recipient');
    await look();
    await work();
    assert.deepEqual(order, []);
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    await look();
    assert.deepEqual(await Promise.all(acme.map(stateOf)), ['queued', 'queued', 'queued']);
    await work();
    assertSent(order, acme);
    assert.equal(await stateOf(bolt), 'encode-recipient');
    const [record, audit] = [await queue.ledger.get(acme[0] ?? ''), await queue.audit.list({})];
    assert.ok(record?.events.some(({ type, facts }) => type === 'resumed' && facts.by === 'sealpost'));
    assert.deepEqual(
      audit.map(({ what, id, by }) => [what, id, by]),
      acme.toReversed().map((id) => ['resume', id, 'sealpost']),
    );
  });

  it('waits for the term of a certificate, and releases on the day', async () => {
    const { configured, order, work, look } = await installation();
    const id = await submit('acme');
    configured.get('acme')?.push(entryOf(issued('acme').certificate, { from: new Date(clock + hour) }));
    await work();
    await look();
    assert.equal(await stateOf(id), 'encode-recipient');
    clock += 2 * hour;
    await look();
    await work();
    assert.deepEqual(order, [id]);
  });

  it('rejected-before-the-delay: what a rule approved releases nothing before its delay, and nothing once it is rejected', async () => {
    const { store, order, work, look, approve } = await installation({ delay: '1h' });
    const id = await submit('acme');
    await work();
    const first = await approve('acme', 'rule same-key');
    await look();
    clock += hour - 1;
    await look();
    assert.equal(await stateOf(id), 'encode-recipient');
    await store.decide(first.certificate.thumbprint, 2, 'rejected', { by: 'alice', why: 'not theirs' });
    clock += hour;
    await look();
    assert.equal(await stateOf(id), 'encode-recipient');
    await approve('acme', 'rule same-key');
    clock += hour - 1;
    await look();
    assert.equal(await stateOf(id), 'encode-recipient');
    clock += 1;
    await look();
    await work();
    assert.deepEqual(order, [id]);
  });

  it('takes the word of a person at once', async () => {
    const { order, work, look, approve } = await installation({ delay: '1h' });
    const id = await submit('acme');
    await work();
    await approve('acme', 'alice');
    await look();
    await work();
    assert.deepEqual(order, [id]);
  });

  it('revoked-while-queued: a certificate that is revoked between release and sending protects nothing', async () => {
    const { store, order, work, look, approve } = await installation();
    const id = await submit('acme');
    await work();
    const made = await approve('acme', 'alice');
    await look();
    assert.equal(await stateOf(id), 'queued');
    await store.decide(made.certificate.thumbprint, 2, 'revoked', { by: 'alice', why: 'stolen' });
    await work();
    assert.deepEqual([order, await stateOf(id)], [[], 'encode-recipient']);
    // and another one is another change
    await approve('acme', 'alice');
    await look();
    await work();
    assert.deepEqual(order, [id]);
  });

  it('expired-while-waiting: what may not leave after a time is not sent late', async () => {
    const { configured, order, work, look } = await installation();
    const [late, inTime] = [
      await submit('acme', { notAfter: clock + hour }),
      await submit('acme', { notAfter: clock + 9 * hour }),
    ];
    await work();
    clock += 2 * hour;
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    await look();
    await work();
    assert.deepEqual([order, await stateOf(late)], [[inTime], 'expired']);
  });

  it('recipient-moved-away: mail for an address that left the partner stays', async () => {
    const { config, configured, order, work, look } = await installation();
    const id = await submit('acme');
    await work();
    const [acme] = config.partners;
    assert.ok(acme);
    acme.addresses = ['@other.example'];
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    await look();
    await work();
    assert.deepEqual([order, await stateOf(id)], [[], 'encode-recipient']);
  });

  it('rotating-sender: a day releases as many messages of a partner as the budget says, and not one more', async () => {
    const { configured, order, work, look } = await installation({ perPartner: 2, perDay: 3 });
    const acme = [await submit('acme'), await submit('acme'), await submit('acme')];
    const bolt = [await submit('bolt'), await submit('bolt')];
    await work();
    for (const name of names) configured.get(name)?.push(entryOf(issued(name).certificate));
    await look();
    await look();
    await work();
    // two of acme by its own budget, and one of bolt by that of all
    const sent = (ids: string[]) => order.filter((id) => ids.includes(id));
    assertSent(sent(acme), acme.slice(0, 2));
    assert.deepEqual(sent(bolt), bolt.slice(0, 1));
    clock += 24 * hour;
    await look();
    await work();
    assertSent(sent(acme), acme);
    assertSent(sent(bolt), bolt);
  });

  it('same-change-twice: a message is decoded again once for each change of keys', async () => {
    const { mailbox, work, look } = await installation();
    const { id } = await accept(queue, 'Subject: a\r\n\r\nx');
    const again = async () =>
      (await queue.ledger.get(id))?.events.filter(({ type }) => type === 'decode-again').length;
    await work();
    for (const expected of [0, 1, 2]) {
      for (let twice = 0; twice < 2; twice++) {
        await look('inbound');
        await work();
        assert.equal(await again(), expected);
      }
      mailbox.push(issued('own'));
    }
  });

  it('poison-message: one message is replayed so often at most, whatever changes', async () => {
    const { mailbox, work, look } = await installation();
    const { id } = await accept(queue, 'Subject: b\r\n\r\nx');
    await work();
    for (let change = 0; change < mostReplays + 2; change++) {
      mailbox.push(issued('own'));
      await look('inbound');
      await work();
    }
    const events = (await queue.ledger.get(id))?.events ?? [];
    assert.equal(events.filter(({ type }) => type === 'decode-again').length, mostReplays);
  });

  it('policy-codes: what was not trusted is judged again when a certificate of its partner comes, and for no key', async () => {
    const { configured, mailbox, failing, work, look } = await installation();
    const [acme, bolt, nobody] = [
      (await accept(queue, 'Subject: p1\r\n\r\nx')).id,
      (await accept(queue, 'Subject: p2\r\n\r\nx')).id,
      (await accept(queue, 'Subject: p3\r\n\r\nx')).id,
    ];
    failing.set(acme, { reason: 'policy-refused', partner: 'acme' });
    failing.set(bolt, { reason: 'signature-invalid', partner: 'bolt' });
    failing.set(nobody, { reason: 'policy-refused', partner: null });
    await work();
    const again = async () => {
      await look('inbound');
      await work();
      const count = async (id: string) =>
        (await queue.ledger.get(id))?.events.filter(({ type }) => type === 'decode-again').length;
      return await Promise.all([acme, bolt, nobody].map(count));
    };
    assert.deepEqual(await again(), [0, 0, 0]);
    mailbox.push(issued('own'));
    assert.deepEqual(await again(), [0, 0, 0]);
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    // whose the third one is, is not known: any partner's certificate may tell
    assert.deepEqual(await again(), [1, 0, 1]);
    configured.get('bolt')?.push(entryOf(issued('bolt').certificate));
    assert.deepEqual(await again(), [1, 1, 2]);
    assert.deepEqual(await again(), [1, 1, 2]);
  });

  it('batches: whoever runs it is asked after each batch whether to go on, and what is left stays', async () => {
    const { config, configured, order, work, opened } = await installation();
    const ids: string[] = [];
    for (let at = 0; at < 2 * replayBatch + 1; at++) ids.push(await submit('acme'));
    await work();
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    const { standing } = opened();
    const run = async (goesOn: (batches: number) => boolean) => {
      const released: string[] = [];
      let batches = 0;
      const found = replayMessages(
        {
          ...{ replays: queue.replays, ledger: queue.ledger, config },
          standing: (waiting) => standing.of(waiting, new Date(clock)),
        },
        {
          ...{ direction: 'outbound', person: false, act: { by: 'test' } },
          next: async () => {
            batches += 1;
            assert.equal(released.length, batches * replayBatch);
            return goesOn(batches);
          },
        },
      );
      for await (const { id, replayed } of found) if (replayed) released.push(id);
      return { batches, released };
    };
    assert.deepEqual(await run(() => false), { batches: 1, released: ids.slice(0, replayBatch) });
    assert.deepEqual(await run(() => true), { batches: 1, released: ids.slice(replayBatch) });
    await work();
    assertSent(order, ids);
  });

  it('leaves what is suspended for another reason', async () => {
    const { mailbox, work, look, setLate } = await installation();
    const { id } = await accept(queue, 'Subject: c\r\n\r\nx');
    setLate([id]);
    await work();
    mailbox.push(issued('own'));
    await look('inbound');
    assert.equal(await stateOf(id), 'internal');
  });

  it('two-deciders: one process decides, and a release that is repeated does nothing', async () => {
    const { configured, work, opened } = await installation();
    const id = await submit('acme');
    await work();
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    const { standing, watch } = opened();
    const [first, second] = [watch('outbound'), watch('outbound')];
    const [held] = await Array.fromAsync(queue.replays.held('outbound'));
    assert.ok(held);
    await Promise.all([first.look(), second.look()]);
    const count = async () =>
      (await queue.ledger.get(id))?.events.filter(({ type }) => type === 'resumed').length;
    assert.equal(await count(), 1);
    // as a process would that was stopped in between, and knows only what it had read
    const { now: keys } = await standing.of(held, new Date(clock));
    assert.equal(await queue.replays.release(held, keys, { by: 'test' }), 'moved');
    assert.equal(await count(), 1);
    await Promise.all([first.stop(), second.stop()]);
  });

  it('late-decider: what failed with these keys is not released for them again', async () => {
    const { mailbox, work, look, opened } = await installation();
    const { id } = await accept(queue, 'Subject: d\r\n\r\nx');
    await work();
    mailbox.push(issued('own'));
    const { standing } = opened();
    // as a process has read it that goes on only after the message was decoded again and suspended
    const [held] = await Array.fromAsync(queue.replays.held('inbound'));
    assert.ok(held);
    await look('inbound');
    await work();
    const { now: keys } = await standing.of(held, new Date(clock));
    assert.equal((await queue.ledger.get(id))?.state, 'suspended');
    assert.equal(await queue.replays.release(held, keys, { by: 'test' }), 'moved');
  });

  it('late-decider: what is suspended for another reason by then is not released', async () => {
    const { work, setLate } = await installation();
    const { id } = await accept(queue, 'Subject: e\r\n\r\nx');
    await work();
    const [held] = await Array.fromAsync(queue.replays.held('inbound'));
    assert.ok(held);
    setLate([id]);
    assert.equal(await queue.replays.release(held, 'first', { by: 'test' }), 'released');
    await work();
    assert.equal(await stateOf(id), 'internal');
    assert.equal(await queue.replays.release(held, 'second', { by: 'test' }), 'moved');
  });

  it('says what it would do, and a person need not wait', async () => {
    const { config, values, order, work, look, approve } = await installation({ delay: '1h', perPartner: 1 });
    const [acme, bolt] = [[await submit('acme'), await submit('acme')], await submit('bolt')];
    await work();
    await approve('acme', 'rule same-key');
    await look();
    const standing = await standingsOf(values, 'outbound');
    const run = (dryRun: boolean) =>
      Array.fromAsync(
        replayMessages(
          { replays: queue.replays, ledger: queue.ledger, config, standing },
          { direction: 'outbound', person: true, act: { by: 'alice' }, dryRun },
        ),
      );
    const expected = [
      [acme[0], true, 'mail to partner acme can be protected'],
      [acme[1], true, 'mail to partner acme can be protected'],
      [bolt, false, 'partner bolt has no certificate to encrypt for'],
    ];
    const said = (await run(true)).map(({ id, replayed, why }) => [id, replayed, why]);
    assert.deepEqual(said, expected);
    assert.deepEqual(await stateOf(acme[0] ?? ''), 'encode-recipient');
    assert.deepEqual(
      (await run(false)).map(({ id, replayed, why }) => [id, replayed, why]),
      expected,
    );
    await work();
    assertSent(order, acme);
  });

  it('does nothing by itself where retry.onKeys is off', async () => {
    const { configured, work, look, values } = await installation({ enabled: false });
    const id = await submit('acme');
    await work();
    configured.get('acme')?.push(entryOf(issued('acme').certificate));
    await look();
    assert.equal(await stateOf(id), 'encode-recipient');
    const [held] = await Array.fromAsync(queue.replays.held('outbound'));
    assert.ok(held && (await standingsOf(values, 'outbound'))(held));
  });
});
