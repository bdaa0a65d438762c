/** A bucket as a destination, against Ceph's RADOS Gateway. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { configSchema } from '../../src/config/schema.ts';
import { readSecret } from '../../src/config/secrets.ts';
import { createDestination, type Destination, probeBucket } from '../../src/handoff/index.ts';
import { createLog } from '../../src/log.ts';
import { objectStorePrograms, startObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { skipWithout } from '../support/world.ts';
import { crlf, delivery, deps, never, piece } from './support.ts';

describe('a bucket', { skip: skipWithout(...objectStorePrograms) }, () => {
  let store: TestObjectStore;
  const made: Destination[] = [];
  before(async () => {
    store = await startObjectStore();
  });
  after(async () => {
    for (const each of made) await each.close();
    await store?.stop();
  });

  async function destination(settings: Record<string, unknown> = {}): Promise<Destination> {
    const config = configSchema.parse({
      mailboxes: [
        {
          ...{ name: 'edi', addresses: ['edi@example.com'] },
          destinations: [{ type: 's3', ...store.settings, ...settings }],
        },
      ],
    }).mailboxes[0]?.destinations[0];
    assert.ok(config);
    const created = await createDestination(config, deps({ readSecret }));
    made.push(created);
    return created;
  }
  const objects = async (prefix: string) => {
    const { Contents = [] } = await store.client.send(
      new ListObjectsV2Command({ Bucket: store.bucket, Prefix: prefix }),
    );
    return Contents.map(({ Key = '' }) => Key.slice(prefix.length)).sort();
  };
  const octetsOf = async (key: string) => {
    const { Body } = await store.client.send(new GetObjectCommand({ Bucket: store.bucket, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  };
  const mixed = crlf(
    `Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/xml

<order/>
--b
Content-Type: application/octet-stream; name="../../etc/passwd"
Content-Transfer-Encoding: base64

${Buffer.from('secret').toString('base64')}
--b--
`,
  );
  const prefix = 'edi/2026-11-23/m-0001/';

  it('is tried with an object that goes again, and says what is wrong', async () => {
    const config = (settings: Record<string, unknown>) => {
      const [found] =
        configSchema.parse({
          mailboxes: [
            {
              name: 'edi',
              destinations: [{ type: 's3', ...store.settings, key: 'tried/{id}/', ...settings }],
            },
          ],
        }).mailboxes[0]?.destinations ?? [];
      assert.ok(found?.type === 's3');
      return found;
    };
    const log = createLog('silent', 'test');
    assert.equal(await probeBucket(config({}), log, Date.now()), undefined);
    assert.deepEqual(await objects('tried/'), []);
    await assert.rejects(probeBucket(config({ bucket: 'nobody-has-this' }), log, Date.now()), {
      code: 'handoff-failed',
      hint: /check bucket, region, credentials/,
    });
    await assert.rejects(probeBucket(config({ endpoint: 'http://127.0.0.1:1' }), log, Date.now()), {
      code: 'handoff-failed',
      hint: /endpoint/,
    });
  });

  it('gets an object for each part, the mail, and what is known of it', async () => {
    const target = await destination();
    const pieces = [piece('2', Buffer.from('Content-Type: text/plain\r\n\r\ninside'))];
    const outcome = await target.deliver(delivery(mixed, { pieces }), never);
    assert.deepEqual(outcome, {
      done: true,
      facts: { bucket: store.bucket, key: prefix, objects: 6 },
    });
    assert.deepEqual(await objects(prefix), [
      'message.eml',
      'parts.json',
      'parts/01-part.xml',
      'parts/02-passwd',
      'pieces/2.eml',
      'verdict.json',
    ]);
    assert.equal((await octetsOf(`${prefix}parts/01-part.xml`)).toString(), '<order/>');
    assert.equal((await octetsOf(`${prefix}parts/02-passwd`)).toString(), 'secret');
    const eml = (await octetsOf(`${prefix}message.eml`)).toString();
    assert.ok(eml.startsWith('Received: from partner.example') && eml.endsWith('--b--\r\n'));
    const { body, parts } = JSON.parse((await octetsOf(`${prefix}parts.json`)).toString());
    assert.deepEqual([body, parts.map(({ octets }: { octets: number }) => octets)], [1, [8, 6]]);
    assert.deepEqual(JSON.parse((await octetsOf(`${prefix}verdict.json`)).toString()).encrypted, true);
    // once more: the same names
    assert.ok('done' in (await target.deliver(delivery(mixed, { pieces }), never)));
    assert.equal((await objects('edi/')).length, 6);
    const again = await target.deliver(delivery(mixed, { again: 1 }), never);
    assert.ok('done' in again && String(again.facts?.key).endsWith('m-0001.again1/'));
  });

  it('gets large parts as they are decoded, in pieces', async () => {
    const part = randomBytes(12 * 1024 * 1024);
    const entity = Buffer.concat([
      crlf('Content-Type: application/x\nContent-Transfer-Encoding: binary\n\n'),
      part,
    ]);
    const target = await destination({ key: 'big/{partner}/{time}-{id}-' });
    const verdict = { status: 'ok', sender: { partner: 'acme' } };
    assert.ok('done' in (await target.deliver(delivery(entity, { verdict }), never)));
    const at = 'big/acme/20261123T000001234Z-m-0001-';
    const found = await octetsOf(`${at}parts/01-part.bin`);
    const digest = (octets: Buffer) => createHash('sha256').update(octets).digest('hex');
    assert.equal(digest(found), digest(part));
  });

  it('is tried again while it is away, and nothing is left of an attempt that broke off', async () => {
    const target = await destination({ key: 'away/{id}/', timeout: '10s', connectTimeout: '5s' });
    const stop = new AbortController();
    const cut = delivery(mixed, {
      async *content() {
        yield Buffer.concat([
          crlf('Content-Type: application/x\nContent-Transfer-Encoding: binary\n\n'),
          Buffer.alloc(6 << 20),
        ]);
        stop.abort();
        yield Buffer.alloc(1 << 20);
      },
    });
    const stopped = await target.deliver(cut, stop.signal);
    assert.ok('retry' in stopped && stopped.untried === true);
    assert.deepEqual(await objects('away/'), []);
    const { Uploads = [] } = await store.client.send(
      new ListMultipartUploadsCommand({ Bucket: store.bucket }),
    );
    assert.deepEqual(Uploads, []);
    await store.kill();
    const away = await target.deliver(delivery(mixed), never);
    assert.ok('retry' in away, JSON.stringify(away));
    assert.deepEqual([away.retry, away.peer], ['handoff-failed', 'down']);
    assert.match(
      String(away.facts?.message),
      /^destination s3 could not write into bucket spool: bucket of s3/,
    );
    await store.start();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const fresh = await destination({ key: 'away/{id}/' });
    assert.ok('done' in (await fresh.deliver(delivery(mixed), never)));
  });

  it('that is missing is a trouble of the destination', async () => {
    const target = await destination({ bucket: 'nowhere-to-be-found' });
    const outcome = await target.deliver(delivery(mixed), never);
    assert.ok('retry' in outcome && outcome.peer === 'down', JSON.stringify(outcome));
    assert.match(String(outcome.facts?.message), /NoSuchBucket|404/);
  });
});
