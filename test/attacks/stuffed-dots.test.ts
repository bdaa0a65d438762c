/**
 * A message of nothing but stuffed dots: smtp-server passes on what is between two of them as a chunk of its own, and
 * goes through the event loop for each. 25 MB took half a minute of processor time.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RawClient, startReceiver } from '../support/smtp.ts';

describe('a message of stuffed dots', () => {
  it('is taken in few chunks, and is stored without them', async () => {
    const test = await startReceiver({ maxSize: '1MiB' });
    let writes = 0;
    test.intake.onWrite = () => {
      writes++;
    };
    const lines = 10_000;
    const client = await RawClient.connect(test.ports[0] ?? 0);
    try {
      await client.hello();
      await client.envelope();
      client.write('..\r\n'.repeat(lines));
      client.write('.\r\n');
      assert.match(await client.reply(), /^250 /);
    } finally {
      client.close();
      await test.receiver.close(0);
    }
    assert.equal(test.intake.stored[0]?.octets.toString(), '.\r\n'.repeat(lines));
    // as many as the network cuts it into
    assert.ok(writes < lines / 10, `${writes} writes`);
  });
});
