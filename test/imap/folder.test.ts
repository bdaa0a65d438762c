/** A single folder: what is requested and taken, in which order, and what stays for the next scan. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { ImapFlow } from 'imapflow';
import { configSchema } from '../../src/config/schema.ts';
import type { Mark } from '../../src/imap/checkpoint.ts';
import { FolderReader, type Skipped } from '../../src/imap/folder.ts';
import { createLog } from '../../src/log.ts';
import { MemoryIntake } from '../support/smtp.ts';

const text = (uid: number) => `Subject: ${uid}\r\n\r\nx\r\n`;

interface Setting {
  /** UIDs in the folder, with the size that the server tells. */
  messages: Map<number, number>;
  uidValidity?: bigint;
  imap?: Record<string, unknown>;
  capabilities?: string[];
  /** UIDs that the server does not give; `drop` ends the connection as well. */
  refused?: Map<number, 'no' | 'drop'>;
  /** Whether moving, marking and deleting succeed. */
  acts?: boolean;
  mark?: Mark;
  drops?: Map<string, { count: number; notBefore: number }>;
}

/** A folder over a connection that only seems to be one: what the reader does is told in `events`. */
function folder(setting: Setting) {
  const { messages, uidValidity = 7n, capabilities = ['UIDPLUS'], refused = new Map() } = setting;
  const [mailbox] = configSchema.parse({
    mailboxes: [
      {
        name: 'edi',
        imap: {
          host: '127.0.0.1',
          user: 'u',
          password: { env: 'X' },
          action: 'delete',
          maxSize: '1KiB',
          ...setting.imap,
        },
        destinations: [{ type: 'directory', path: '/nonexistent' }],
      },
    ],
  }).mailboxes;
  assert.ok(mailbox?.imap);
  const events: string[] = [];
  const state = { acts: setting.acts ?? true, saved: setting.mark ?? null };
  const client = new ImapFlow({ host: '127.0.0.1', port: 1, auth: { user: 'u', pass: 'p' }, logger: false });
  client.usable = true;
  client.capabilities = new Map(capabilities.map((name) => [name, true]));
  const act = (what: string) => async (range: unknown, _more: unknown) => {
    events.push(`${what} ${range}`);
    return state.acts;
  };
  Object.assign(client, {
    mailboxOpen: async () => ({ uidValidity }),
    // as RFC 9051 has it, `9:*` holds the last message even where that is below 9
    search: async ({ uid }: { uid: string }) => {
      const [first = '', last] = uid.split(':');
      if (last === undefined) return [...messages.keys()].filter((found) => found === Number(first));
      events.push(`search ${uid}`);
      const most = Math.max(0, ...messages.keys());
      return [...messages.keys()].filter((found) => found >= Number(first) || found === most).reverse();
    },
    fetchAll: async (range: string) =>
      range.split(',').map((uid) => ({ uid: Number(uid), size: messages.get(Number(uid)) })),
    download: async (uid: string) => {
      events.push(`fetch ${uid}`);
      const how = refused.get(Number(uid));
      if (how === 'drop') client.usable = false;
      if (how !== undefined) throw new Error('not now');
      return {
        meta: { expectedSize: text(Number(uid)).length },
        content: Readable.from([Buffer.from(text(Number(uid)))]),
      };
    },
    messageDelete: act('delete'),
    messageMove: act('move'),
    messageCopy: act('copy'),
    messageFlagsAdd: async (range: unknown, flags: string[]) => act(`flag ${flags}`)(range, flags),
  });
  const intake = new MemoryIntake();
  intake.onCommit = async () => {
    events.push('stored');
  };
  const skipped: Skipped[] = [];
  const reader = new FolderReader(client, {
    mailbox: 'edi',
    config: mailbox.imap,
    intake,
    checkpoint: {
      load: async () => structuredClone(state.saved),
      save: async (_folder, mark) => {
        events.push(`save ${mark.uid}${mark.pending.length > 0 ? ` pending ${mark.pending}` : ''}`);
        state.saved = structuredClone(mark);
      },
      hold: async () => true,
      release: async () => {},
    },
    log: createLog('silent', 'test'),
    onSkipped: (message) => skipped.push(message),
    onStored: () => {},
    drops: setting.drops ?? new Map(),
  });
  return { reader, events, skipped, state, client, intake, scan: () => reader.scan(() => false) };
}

const sized = (...uids: number[]) => new Map(uids.map((uid) => [uid, text(uid).length]));

describe('an IMAP folder', () => {
  it('is read in the order of UIDs: stored, then noted, then treated, then noted as done', async () => {
    const { reader, events, scan } = folder({ messages: sized(3, 4) });
    await reader.open();
    await scan();
    const [one, two] = [
      ['fetch 3', 'stored'],
      ['fetch 4', 'stored'],
    ] as const;
    assert.deepEqual(events, ['search 1:*', ...one, ...two, 'save 4 pending 3,4', 'delete 3,4', 'save 4']);
    events.length = 0;
    await scan();
    assert.deepEqual(events, ['search 5:*'], 'nothing is fetched or treated twice');
  });

  it('gives the first new message, and not the last old one that a server names as well', async () => {
    const mark: Mark = { uidValidity: '7', uid: 4, pending: [], failed: {} };
    for (const [messages, fetched] of [
      [sized(3, 4), []],
      [sized(3, 4, 5), ['fetch 5']],
    ] as const) {
      const { reader, events, scan } = folder({ messages, mark });
      await reader.open();
      await scan();
      assert.deepEqual(
        events.filter((event) => event.startsWith('fetch')),
        fetched,
      );
    }
  });

  it('is read from its beginning when its UIDVALIDITY has changed, and only then', async () => {
    const mark: Mark = {
      uidValidity: '7',
      uid: 4,
      pending: [4],
      failed: { '2': { attempts: 1, octets: 0 } },
    };
    for (const [uidValidity, first, counts] of [
      [7n, 'search 5:*', 1],
      [8n, 'search 1:*', 0],
    ] as const) {
      const drops = new Map([['7/2', { count: 1, notBefore: 0 }]]);
      const { reader, events, scan } = folder({ messages: sized(), uidValidity, mark, drops });
      await reader.open();
      assert.equal(drops.size, counts);
      await scan();
      const act = uidValidity === 7n ? ['delete 4', 'save 4'] : [];
      assert.deepEqual(
        events.slice(0, act.length + 1),
        [...act, first],
        'what is pending belongs to it alone',
      );
    }
  });

  it('leaves a message above the limit of size unfetched, tells of it once, and takes one at the limit', async () => {
    const messages = new Map([
      [1, 1024],
      [2, 1025],
    ]);
    const { reader, events, skipped, scan } = folder({ messages });
    await reader.open();
    await scan();
    assert.deepEqual(events, ['search 1:*', 'fetch 1', 'stored', 'save 2 pending 1', 'delete 1', 'save 2']);
    await scan();
    assert.deepEqual(
      skipped.map(({ uid, code }) => [uid, code]),
      [[2, 'message-too-large']],
    );
  });

  it('tries a message that the server does not give three times, each at another scan, then leaves it', async () => {
    const { reader, events, skipped, state, scan } = folder({
      messages: sized(1, 2),
      refused: new Map([[1, 'no']]),
    });
    await reader.open();
    for (const [attempts, left] of [
      [1, 0],
      [2, 0],
      [undefined, 1],
      [undefined, 1],
    ] as const) {
      await scan();
      assert.deepEqual([state.saved?.failed['1']?.attempts, skipped.length], [attempts, left]);
    }
    const count = (event: string) => events.filter((each) => each === event).length;
    assert.deepEqual([count('fetch 1'), count('fetch 2'), count('delete 2')], [3, 1, 1]);
    assert.equal(skipped[0]?.code, 'imap-failed');
  });

  it('leaves a message at which the connection breaks after six times', async () => {
    for (const [before, left] of [
      [4, 0],
      [5, 1],
    ] as const) {
      const drops = new Map([['7/1', { count: before, notBefore: 0 }]]);
      const refused = new Map([[1, 'drop' as const]]);
      const { reader, skipped, state, scan } = folder({ messages: sized(1), refused, drops });
      await reader.open();
      await assert.rejects(scan(), { code: 'imap-failed', message: /connection was lost/ });
      assert.deepEqual([skipped.length, '1' in (state.saved?.failed ?? {})], [left, left === 0]);
      assert.equal(drops.get('7/1')?.count, before + 1);
    }
  });

  it('repeats an action that failed at the next scan, without fetching again', async () => {
    const { reader, events, state, scan } = folder({ messages: sized(1), acts: false });
    await reader.open();
    await scan();
    assert.deepEqual(state.saved?.pending, [1]);
    state.acts = true;
    events.length = 0;
    await scan();
    assert.deepEqual(events, ['delete 1', 'save 1', 'search 2:*']);
  });

  for (const [what, imap, capabilities, expected] of [
    ['deletes with UIDPLUS', {}, ['UIDPLUS'], ['delete 1']],
    ['only marks without', {}, [], ['flag \\Deleted 1']],
    ['marks as seen', { action: 'seen' }, ['UIDPLUS', 'MOVE'], ['flag \\Seen 1']],
    ['moves', { action: 'move' }, ['UIDPLUS', 'MOVE'], ['move 1']],
    ['copies and deletes without MOVE', { action: 'move' }, ['UIDPLUS'], ['copy 1', 'delete 1']],
    ['copies and marks without both', { action: 'move' }, [], ['copy 1', 'flag \\Deleted 1']],
  ] as const)
    it(`${what}`, async () => {
      const { reader, events, scan } = folder({ messages: sized(1), imap, capabilities: [...capabilities] });
      await reader.open();
      await scan();
      assert.deepEqual(
        events.filter((event) => /^(delete|flag|move|copy)/.test(event)),
        expected,
      );
    });

  it('deletes nothing that could not be copied', async () => {
    const { reader, events, scan } = folder({ messages: sized(1), imap: { action: 'move' }, acts: false });
    await reader.open();
    await scan();
    assert.deepEqual(
      events.filter((event) => /^(delete|flag|move|copy)/.test(event)),
      ['copy 1'],
    );
  });
});
