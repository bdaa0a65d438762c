import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sealpost } from '../support/daemon.ts';
import { skipWithoutDovecot } from '../support/dovecot.ts';
import { skipWithout } from '../support/world.ts';

describe('sealpost demo', { skip: skipWithout('openssl') || skipWithoutDovecot() }, () => {
  it('shows mail coming in over SMTP and IMAP, and mail going out, and leaves nothing behind', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sealpost-try-'));
    // Dovecot's own users pass through it.
    chmodSync(folder, 0o755);
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const { code, stdout, stderr } = await sealpost(['demo'], { env: { TMPDIR: folder } });
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
    const left = readdirSync(folder).filter((name) => name.startsWith('sealpost-demo-'));
    assert.deepEqual(left, []);
  });
});
