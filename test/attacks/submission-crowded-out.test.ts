/** Strangers who hold every connection that they can get must not keep programs from submitting, nor the reverse. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';
import { RawClient } from '../support/smtp.ts';
import { plain, startSubmission, type TestSubmission } from '../support/submission.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

describe('connections of partners and of programs', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  let tls: TlsFiles;
  let door: TestSubmission;
  before(async () => {
    tls = await makeTlsFiles();
    const smtp = { maxConnections: 5, maxConnectionsPerClient: 50 };
    door = await startSubmission({ queue: test.queue, dataDir: test.server.dataDir }, tls, { smtp });
  });
  after(async () => {
    await door.close();
    tls.remove();
  });

  it('a fifth of the connections is left to each kind of listener', async () => {
    const token = await door.client('erp', { partners: ['acme'], senders: ['erp@own.example'] });
    for (const [crowded, other] of [
      [door.ports.mx, door.ports.starttls],
      [door.ports.starttls, door.ports.mx],
    ] as const) {
      const held: RawClient[] = [];
      // The connections of the round before may take a moment to be gone.
      await until('four connections are held', async () => {
        const client = await RawClient.connect(crowded);
        if ((await client.reply()).startsWith('220')) held.push(client);
        else client.close();
        return held.length === 4;
      });
      const fifth = await RawClient.connect(crowded);
      assert.match(await fifth.reply(), /^421 4\.7\.0 /);
      fifth.close();
      const client = other === door.ports.mx ? await RawClient.connect(other) : await door.secure();
      if (other === door.ports.mx) assert.match(await client.reply(), /^220 /);
      else assert.match(await client.command(plain('erp', token)), /^235 2\.7\.0 /);
      for (const each of [...held, client]) each.close();
    }
  });
});
