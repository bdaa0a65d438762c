/** What counts as the message of a download: its size at the limit and around it. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { ImapFlow } from 'imapflow';
import { FetchError, fetchMessage } from '../../src/imap/fetch.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const text = 'Subject: order\r\n\r\n1\r\n';
let queue: QueueRoom;
useTestQueue((opened) => {
  queue = opened.queue;
});

/** Fetches a message that comes in the given pieces from a server that says it has `size` octets. */
function fetch(pieces: string[], size: number, { maxSize = 1000, acceptOctets = -1 } = {}) {
  // never connected: only what it would give is of interest
  const client = new ImapFlow({ host: '127.0.0.1', port: 1, auth: { user: 'u', pass: 'p' }, logger: false });
  client.download = async () => ({
    meta: { expectedSize: size, contentType: 'message/rfc822' },
    content: Readable.from(pieces.map((piece) => Buffer.from(piece))),
  });
  const origin = { kind: 'imap' as const, detail: {} };
  return fetchMessage(client, 1, queue.intake, { mailbox: 'edi', user: 'u', origin, maxSize, acceptOctets });
}

describe('an IMAP download', () => {
  it('is stored when all octets came, and not when one is missing', async () => {
    assert.equal(await fetch([text], text.length), 'stored');
    await assert.rejects(fetch([text], text.length + 1), FetchError);
    const { received } = await queue.ledger.count();
    assert.equal(received, 1);
    // the same number of octets a second time: the server's size is wrong
    assert.equal(await fetch([text], text.length + 1, { acceptOctets: text.length }), 'stored');
    await assert.rejects(fetch([text], text.length + 2, { acceptOctets: text.length - 1 }), FetchError);
  });

  it('is as large as the limit, and not an octet larger, however it is cut', async () => {
    const [first, second] = [text.slice(0, 10), text.slice(10)];
    for (const pieces of [[text], [first, second]]) {
      assert.equal(await fetch(pieces, 0, { maxSize: text.length }), 'stored');
      await assert.rejects(fetch(pieces, 0, { maxSize: text.length - 1 }), { code: 'message-too-large' });
    }
  });

  it('without octets is no message', async () => {
    await assert.rejects(fetch([], 0), { code: 'message-empty' });
  });
});
