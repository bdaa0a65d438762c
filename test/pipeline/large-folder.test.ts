import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { draftOwner } from '../../src/files.ts';
import {
  createDestination,
  createLocalDestination,
  type LocalDestination,
  type LocalDraft,
} from '../../src/handoff/index.ts';
import { messageFolder } from '../../src/handoff/names.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { decodeStep } from '../../src/pipeline/decode.ts';
import { deliverStep, Turns } from '../../src/pipeline/index.ts';
import { ProfileBook } from '../../src/profile/index.ts';
import type { HandoffJob, InboundJob, QueueRoom } from '../../src/queue/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { deps, temporary } from '../handoff/support.ts';
import { createTestCa } from '../support/ca.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const ca = createTestCa();
const own = ca.issue({ email: 'edi@example.net', key: 'rsa2048' });
const never = new AbortController().signal;
/** More than is written at a time. */
const text = 'a line of an order that goes on and on, and on, and on\r\n'.repeat(60_000);
const mail = (subject: string, type = 'text/plain') =>
  Buffer.from(
    `From: a@partner.example\r\nSubject: ${subject}\r\nMIME-Version: 1.0\r\nContent-Type: ${type}\r\n\r\n${text}`,
  );
const attachment = 'application/xml; name=order.xml';
const encrypted = (subject: string, type?: string) =>
  encodeSync(mail(subject, type), { recipients: [own.certificate], contentEncryption: 'aes-256-gcm' });
/** With another octet in the middle of its content. */
const damaged = (octets: Buffer) => {
  const at = octets.length >> 1;
  const other = Buffer.from(octets);
  const place = [...Array(80).keys()].map((each) => at + each).find((each) => other[each] === 0x41) ?? at;
  other[place] = 0x42;
  return other;
};

const settings = (changes: object = {}) => ({
  mailboxes: [
    {
      ...{ name: 'edi', addresses: ['edi@example.net'], notSmime: 'pass', duplicates: 'deliver' },
      destinations: [{ type: 'directory', path: '/none' }],
      ...changes,
    },
  ],
});

describe('a large message that is decoded into the folder of its destination', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  before(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server, settings());
  });
  after(async () => {
    await queue.close();
    await server.stop();
  });

  /** The step of a process. */
  function step(
    local: LocalDestination | undefined,
    { flow, changes = {} }: { flow?: Partial<QueueRoom['flow']>; changes?: object } = {},
  ) {
    const { mailboxes, strong } = testConfig(server, settings(changes));
    const ours = queue.flow;
    return decodeStep({
      guards: queue.guards,
      explain: async () => ({ not: 'nobody is told here' }),
      trace: (mailbox) => `trace-of-${mailbox}`,
      spool: queue.spool,
      flow: {
        fetch: (...given) => ours.fetch(...given),
        decoded: (...given) => ours.decoded(...given),
        handedOffAtOnce: (...given) => ours.handedOffAtOnce(...given),
        dropped: (...given) => ours.dropped(...given),
        ...flow,
      },
      mailboxes,
      strong,
      partners: new PartnerDirectory([], new Map()),
      profiles: new ProfileBook(),
      optionsFor: () => ({
        identities: [own.identity],
        trust: { anchors: [] },
        form: 'mail',
        at: new Date(),
      }),
      large: new Turns(1),
      local: () => local,
    });
  }

  const folderOf = (path: string) =>
    createLocalDestination({ type: 'directory', path }, { ...deps(), besideHandoff: true });

  /** With something that is done at each step of a draft. */
  function watched(local: LocalDestination | undefined, at: (what: 'write' | 'publish') => void) {
    assert.ok(local?.begin);
    const { begin } = local;
    const watch = (draft: LocalDraft): LocalDraft =>
      new Proxy(draft, {
        get(of, name) {
          const value = Reflect.get(of, name, of);
          if (typeof value !== 'function') return value;
          return (...given: unknown[]) => {
            if (name === 'publish') at('publish');
            const result = value.apply(of, given);
            if (name !== 'write' || result === undefined) return result;
            return result.then(() => at('write'));
          };
        },
      });
    return {
      ...local,
      async begin(message: Parameters<typeof begin>[0]) {
        const draft = await begin(message);
        return draft && watch(draft);
      },
    };
  }

  async function jobOf(id: string): Promise<InboundJob> {
    const [data] = await queue.redis.hmget(`{sealpost}:inbound:${id}`, 'data');
    return JSON.parse(data ?? '');
  }
  const stateOf = async (id: string) => (await queue.ledger.get(id))?.state;
  const spooled = async () => {
    const found: string[] = [];
    for (const fan of readdirSync(join(server.dataDir, 'spool')))
      if (fan !== 'tmp') found.push(...readdirSync(join(server.dataDir, 'spool', fan)));
    return found;
  };
  const filesOf = (path: string): Record<string, Buffer> =>
    Object.fromEntries(
      readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((each) => each.isFile())
        .map((each) => {
          const file = join(each.parentPath, each.name);
          return [file.slice(path.length), readFileSync(file)];
        }),
    );

  /** What the role `handoff` does with the job that decoding has left. */
  async function handOff(id: string, path: string) {
    const destination = await createDestination({ type: 'directory', path }, deps());
    const [data] = await queue.redis.hmget(`{sealpost}:handoff:${id}.directory`, 'data');
    const job: HandoffJob = JSON.parse(data ?? '');
    const parts = {
      spool: queue.spool,
      flow: queue.flow,
      destination: () => destination,
      large: new Turns(1),
    };
    return await deliverStep(parts)(job, { signal: never });
  }

  for (const [what, octets] of [
    ['one part', encrypted('one part')],
    ['an attachment', encrypted('an attachment', attachment)],
    ['a mail that is not S/MIME', mail('plain', attachment)],
    ['octets that are not MIME', mail('octets', 'not even a type')],
  ] as const) {
    it(`is what the hand-off would write: ${what}`, async (t) => {
      const [direct, later] = [await temporary(t), await temporary(t)];
      const { id } = await accept(queue, octets);
      const begun = watched(await folderOf(direct), () => {});
      assert.deepEqual(await step(begun)(await jobOf(id), { signal: never }), { done: true });
      assert.equal(await stateOf(id), 'delivered');
      assert.deepEqual(await spooled(), [], 'nothing of it was stored on the way');
      const events = (await queue.ledger.get(id))?.events ?? [];
      assert.deepEqual(
        events.map(({ type }) => type),
        ['received', 'decoded', 'handed-off', 'delivered'],
      );
      const [folder = ''] = readdirSync(direct);
      assert.deepEqual(events[2]?.facts, { destination: 'directory', folder });

      const second = await accept(queue, octets);
      await step(undefined)(await jobOf(second.id), { signal: never });
      assert.deepEqual(await handOff(second.id, later), { done: true });
      const [other = ''] = readdirSync(later);
      const [ours, theirs] = [filesOf(join(direct, folder)), filesOf(join(later, other))];
      assert.deepEqual(Object.keys(ours), Object.keys(theirs));
      for (const [name, content] of Object.entries(theirs)) assert.ok(ours[name]?.equals(content), name);
      assert.equal(statSync(join(direct, folder)).mode, statSync(join(later, other)).mode);
    });
  }

  it('is for nobody else to see before it has been judged, and leaves nothing when it is refused', async (t) => {
    const path = await temporary(t);
    const seen: number[] = [];
    const modes = () => {
      for (const name of readdirSync(path)) {
        assert.ok(name.startsWith('.'), name);
        seen.push(statSync(join(path, name)).mode & 0o777);
      }
    };
    const bad = await accept(queue, damaged(encrypted('damaged')));
    const outcome = await step(watched(await folderOf(path), modes))(await jobOf(bad.id), { signal: never });
    assert.ok('suspend' in outcome && outcome.suspend === 'decrypt-failed', JSON.stringify(outcome));
    assert.ok(seen.length > 0, 'it was on its way');
    assert.deepEqual([...new Set(seen)], [0o700]);
    assert.deepEqual(readdirSync(path), []);

    seen.length = 0;
    const changes = { notSmime: 'suspend' };
    const plain = await accept(queue, mail('not encrypted'));
    const judged = await step(watched(await folderOf(path), modes), { changes })(await jobOf(plain.id), {
      signal: never,
    });
    assert.ok('suspend' in judged, JSON.stringify(judged));
    assert.ok(seen.length > 0, 'it was on its way');
    assert.deepEqual(readdirSync(path), []);
    assert.deepEqual((await spooled()).length, 2, 'the two originals');
    for (const { id } of [bad, plain]) await queue.flow.terminate(id, 'test');
  });

  it('is handed off once if the process dies between the name and the record', async (t) => {
    const path = await temporary(t);
    const { id } = await accept(queue, encrypted('dies'));
    const dies = {
      handedOffAtOnce: async () => {
        throw new Error('the process has died');
      },
    };
    await assert.rejects(step(await folderOf(path), { flow: dies })(await jobOf(id), { signal: never }));
    const before = readdirSync(path);
    assert.equal(before.length, 1);
    assert.equal(await stateOf(id), 'received');

    assert.deepEqual(await step(await folderOf(path))(await jobOf(id), { signal: never }), { done: true });
    assert.equal(await stateOf(id), 'decoded');
    assert.deepEqual(await handOff(id, path), { done: true });
    assert.equal(await stateOf(id), 'delivered');
    assert.deepEqual(readdirSync(path), before);
    const handed = (await queue.ledger.get(id))?.events.find(({ type }) => type === 'handed-off');
    assert.equal(handed?.facts.repeated, true);
  });

  for (const [what, octets, changes] of [
    ['the policy has changed', () => mail('accepted once'), { notSmime: 'suspend' }],
    ['it cannot be decoded any more', () => damaged(encrypted('accepted once')), {}],
  ] as const) {
    it(`stays handed off if the process dies between the name and the record, and ${what}`, async (t) => {
      const path = await temporary(t);
      const { id } = await accept(queue, octets());
      const job = await jobOf(id);
      mkdirSync(join(path, messageFolder(job)));
      const other = await step(await folderOf(await temporary(t)), { changes })(job, { signal: never });
      assert.ok('suspend' in other, 'it would be suspended without its folder');

      assert.deepEqual(await step(await folderOf(path), { changes })(job, { signal: never }), { done: true });
      assert.equal(await stateOf(id), 'delivered');
      const { events = [] } = (await queue.ledger.get(id)) ?? {};
      const handed = events.find(({ type }) => type === 'handed-off');
      assert.deepEqual(handed?.facts, {
        destination: 'directory',
        folder: messageFolder(job),
        repeated: true,
      });
      assert.deepEqual(await spooled(), [], 'nothing of it is left');
    });
  }

  it('leaves nothing behind of a process that died before, once another has started', async (t) => {
    const path = await temporary(t);
    const [machine] = draftOwner.split('-');
    mkdirSync(join(path, `.sealpost-a.${machine}-4194305-1`));
    mkdirSync(join(path, `.sealpost-b.${draftOwner}`));
    await folderOf(path);
    assert.deepEqual(readdirSync(path), [`.sealpost-b.${draftOwner}`]);
  });

  /** Calls that make a folder below `path` wait for what is returned. */
  function hang(t: TestContext, path: string) {
    const gate = Promise.withResolvers<void>();
    const real = fsp.mkdir;
    t.mock.method(fsp, 'mkdir', async (...given: Parameters<typeof fsp.mkdir>) => {
      if (String(given[0]).startsWith(path)) await gate.promise;
      return await real(...given);
    });
    syncBuiltinESMExports();
    t.after(() => {
      t.mock.restoreAll();
      syncBuiltinESMExports();
    });
    return gate;
  }

  it('goes through the queue while the folder hangs, which holds up no other', async (t) => {
    const [sick, well] = [await temporary(t), await temporary(t)];
    const local = await folderOf(sick);
    const gate = hang(t, sick);
    const { id } = await accept(queue, encrypted('hangs'));
    const hanging = step(local)(await jobOf(id), { signal: never });
    const other = await accept(queue, encrypted('another'));
    assert.deepEqual(await step(await folderOf(well))(await jobOf(other.id), { signal: never }), {
      done: true,
    });
    assert.equal(await stateOf(other.id), 'delivered');
    assert.equal(await stateOf(id), 'received', 'it still waits');
    assert.deepEqual(await hanging, { done: true });
    assert.equal(await stateOf(id), 'decoded');
    // It is not asked again while it does not answer.
    assert.equal(await local?.begin?.({ id: 'x', receivedAt: 0 }), undefined);
    gate.resolve();
    await t.waitFor(async () => {
      const draft = await local?.begin?.({ id: 'x', receivedAt: 0 });
      await draft?.remove();
      assert.ok(draft);
    });
    assert.deepEqual(readdirSync(sick), []);
    await queue.flow.terminate(id, 'test');
  });

  it('is written by a few at a time, whatever the folder', async (t) => {
    const [one, two] = [await folderOf(await temporary(t)), await folderOf(await temporary(t))];
    const of = { id: 'x', receivedAt: 0 };
    const drafts = await Promise.all(Array.from({ length: 8 }, (_, at) => (at % 2 ? one : two)?.begin?.(of)));
    assert.ok(drafts.every((draft) => draft));
    assert.equal(await two?.begin?.(of), undefined);
    for (const draft of [...drafts, ...drafts]) await draft?.remove();
    const again = await two?.begin?.(of);
    assert.ok(again);
    await again.remove();
  });

  it('is no folder where the hand-off runs elsewhere, or the folder is not there', async (t) => {
    const path = await temporary(t);
    assert.equal(await createLocalDestination({ type: 'directory', path }, deps()), undefined);
    const missing = await folderOf(join(path, 'not mounted'));
    assert.equal(await missing?.begin?.({ id: 'x', receivedAt: 0 }), undefined);
    assert.deepEqual(readdirSync(path), []);
  });
});
