import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import { sealpost } from '../support/daemon.ts';
import { skipWithoutDovecot } from '../support/dovecot.ts';
import { skipWithout } from '../support/world.ts';

describe('sealpost demo', { skip: skipWithout('openssl') || skipWithoutDovecot() }, () => {
  it('shows mail coming in over SMTP and IMAP, and mail going out, and leaves nothing behind', async () => {
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('sealpost-demo-'));
    const before = folders();
    const { code, stdout, stderr } = await sealpost(['demo']);
    const text = stdout.toString();
    assert.equal(code, 0, `${text}\n${stderr}`);
    const steps = text.split(/\n\s*[\d.]+ s {2}\d+\. /);
    const step = (what: RegExp) => steps.find((each) => what.test(each)) ?? '';
    for (const [name, arrival] of [
      ['SMTP', step(/over SMTP/)],
      ['IMAP', step(/IMAP mailbox/)],
    ] as const) {
      assert.match(arrival, /status +ok\n/, name);
      assert.match(arrival, /encrypted +true\n/, name);
      assert.match(arrival, /signature +valid\n/, name);
      assert.match(arrival, /layers +enveloped-data > (multipart\/signed|signed-data)$/m, name);
    }
    assert.match(step(/over SMTP/), /reply +250 /);
    const out = step(/goes out/);
    assert.match(out, /partner reads +with OpenSSL .*; signature verified\n/);
    assert.match(out, /content +"Order 4711 is confirmed\."/);
    assert.deepEqual(folders(), before);
  });
});
