import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'bullmq';
import type { HandoffDocument } from '../../src/handoff/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('mail from a mailing list through the running daemon', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  let daemon: TestDaemon;

  before(async () => {
    const inbox = join(world.folder, 'daemon1', 'inbox');
    const destinations = [
      { type: 'directory', path: inbox },
      { type: 'queue', queue: 'list-work', prefix: '{own}', inlineLimit: '20KiB' },
    ];
    const addresses = ['list@own.example'];
    daemon = await startDaemon(world, {
      config: {
        http: { port: await freePort() },
        spool: { inlineLimit: '64KiB' },
        mailboxes: [{ name: 'lists', addresses, notSmime: 'pass', destinations }],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    world.remove();
  });

  const verdictIn = (folder: string) => JSON.parse(readFileSync(join(folder, 'verdict.json'), 'utf8'));
  /** The data of the first job in a queue, by the operator's own worker as he would write it. */
  async function takenFrom(queue: string): Promise<HandoffDocument> {
    const connection = daemon.queue.connect('own-worker');
    const taken = Promise.withResolvers<HandoffDocument>();
    const blocking = connection.duplicate({ maxRetriesPerRequest: null });
    const worker = new Worker(queue, async ({ data }) => taken.resolve(data), {
      connection: blocking,
      prefix: '{own}',
    });
    const data = await taken.promise;
    await worker.close();
    blocking.disconnect();
    connection.disconnect();
    return data;
  }

  it('hands off the content of parts below which a list put a footer, each separately', async () => {
    const large = textEntity('x'.repeat(70).concat('\r\n').repeat(4000));
    const parts = [
      world.mail(textEntity('encrypted for the list'), { header: '' }),
      world.mail(large, { header: '', to: false }),
      world.mail(textEntity('for somebody else'), { header: '', to: world.partner }),
    ];
    const id = await daemon.accept(world.listed(parts), { to: ['list@own.example'] });
    await daemon.reaches(id, 'delivered');

    const folder = daemon.delivered(id);
    const { encrypted, signature, pieces } = verdictIn(folder);
    assert.deepEqual([encrypted, signature], [false, 'none'], 'the mail itself protects nothing');
    assert.deepEqual(
      pieces.map(({ path, status, encrypted, signature }: Record<string, unknown>) => [
        ...[path, status, encrypted, signature],
      ]),
      [
        ['1', 'ok', true, 'valid'],
        ['2', 'ok', false, 'valid'],
        ['3', 'failed', true, 'none'],
      ],
    );
    const message = readFileSync(join(folder, 'message.eml'), 'utf8');
    assert.match(message, /footer of the list/);
    assert.doesNotMatch(message, /encrypted for the list/);
    assert.deepEqual(readdirSync(join(folder, 'pieces')).sort(), ['1.eml', '2.eml']);
    assert.match(
      readFileSync(join(folder, 'pieces', '1.eml'), 'utf8'),
      /\r\n\r\nencrypted for the list\r\n$/,
    );
    const second = readFileSync(join(folder, 'pieces', '2.eml'));
    assert.equal(createHash('sha256').update(second).digest('hex'), pieces[1].content.sha256);
    assert.ok(second.includes(large));

    const document = await takenFrom('list-work');
    assert.equal(document.id, id);
    const [first, byUrl, ...more] = document.pieces;
    assert.deepEqual(more, []);
    assert.ok(first && 'data' in first && byUrl && 'url' in byUrl);
    assert.match(Buffer.from(first.data, 'base64').toString(), /encrypted for the list/);
    assert.deepEqual([byUrl.path, byUrl.octets], ['2', second.length]);
    const fetched = await fetch(byUrl.url);
    assert.equal(fetched.status, 200);
    assert.deepEqual(Buffer.from(await fetched.arrayBuffer()), second);
    const forged = await fetch(byUrl.url.replace('piece=2', 'piece=1'));
    assert.equal(forged.status, 403);
  });
});
