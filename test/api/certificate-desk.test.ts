/** What the API knows of certificates at 10,000 partners: from the index, and only what is shown is parsed. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CertificateDesk } from '../../src/api/certificate-desk.ts';
import { operatorClient } from '../../src/client/index.ts';
import { indexCertificates } from '../../src/config/index-certificates.ts';
import { loadConfig } from '../../src/config/load.ts';
import { restoreConfig, storeConfig } from '../../src/config/origin.ts';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { createTestCa } from '../support/ca.ts';
import { useTestQueue } from '../support/queue.ts';

const day = 86_400_000;

describe('the certificate desk', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    ({ queue } = opened);
  });
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-desk-'));
  after(() => rmSync(folder, { recursive: true }));
  const ca = createTestCa('Desk CA');
  const names = ['spoiled', 'whole', 'ending'] as const;
  const serials = { spoiled: 0x7f01, whole: 0x7f02, ending: 0x7f03 };
  const issued = new Map(
    names.map((name) => [
      name,
      ca.issue({
        ...{ commonName: name, email: `edi@${name}.example`, serial: serials[name], freshKey: true },
        ...(name === 'ending' && { notAfter: new Date(Date.now() + 10 * day) }),
      }),
    ]),
  );
  const thumbprintOf = (name: (typeof names)[number]) => issued.get(name)?.certificate.thumbprint ?? '';
  let desk: CertificateDesk;

  before(async () => {
    mkdirSync(join(folder, 'partners'));
    mkdirSync(join(folder, 'data'));
    writeFileSync(
      join(folder, 'sealpost.yaml'),
      'dataDir: data\ntrust: { revocation: { mode: soft, hosts: [pki.example] } }\n',
    );
    for (const [name, { certPem }] of issued) {
      writeFileSync(join(folder, `partners/${name}.pem`), certPem);
      writeFileSync(
        join(folder, `partners/${name}.yaml`),
        `name: ${name}\naddresses: [edi@${name}.example]\nsign: none\ncertificates: [{ file: ${name}.pem, until: 2100-01-01 }]\n`,
      );
    }
    const config = loadConfig(join(folder, 'sealpost.yaml'));
    const target = join(folder, 'run.certificates');
    await indexCertificates(config, target);
    // Whoever parses this one fails, so nothing but what is shown is parsed.
    const octets = readFileSync(target);
    const der = issued.get('spoiled')?.certificate.der ?? Buffer.alloc(0);
    const at = octets.indexOf(der);
    assert.ok(at > 0);
    octets.fill(0, at, at + der.length);
    writeFileSync(target, octets);
    const stored = restoreConfig(storeConfig(config, target));
    desk = await CertificateDesk.open({ config: stored, queue, log: createLog('silent', 'test') });
  });

  const list = async (query: Parameters<CertificateDesk['list']>[1], serial?: string, limit = 200) => {
    const { page } = await desk.list(operatorClient, query, { serial, limit, cursor: '' });
    return page.map(({ sha256, state }) => [sha256, state]);
  };

  it('finds what is asked for without a look at any other', async () => {
    const whole = [[thumbprintOf('whole'), 'in-force']];
    assert.deepEqual(await list({ partner: 'whole' }), whole);
    for (const serial of ['7f02', '7F:02', '0x7F02', '32514', thumbprintOf('whole').slice(0, 16)])
      assert.deepEqual(await list({}, serial), whole, serial);
    const sha1 = issued.get('whole')?.certificate.thumbprintSha1;
    assert.deepEqual(await list({}, sha1), whole);
    assert.deepEqual(await list({}, '7f04'), []);
    assert.deepEqual(await list({ expiring: 30 }), [[thumbprintOf('ending'), 'in-force']]);
    assert.deepEqual(await list({ state: 'waiting' }), []);
    assert.deepEqual(await list({ state: 'expired' }), []);
    const detail = await desk.detail(operatorClient, thumbprintOf('whole'));
    assert.deepEqual([detail.partner, detail.uses, detail.from], ['whole', ['encrypt', 'verify'], null]);
    assert.equal(detail.until, '2100-01-01T00:00:00.000Z', 'the window of the configuration');
    await assert.rejects(list({ partner: 'spoiled' }), { code: 'certificate-malformed' });
    assert.equal((await list({}, undefined, 1)).length, 1, 'a page parses its own certificates');
    await assert.rejects(list({}), { code: 'certificate-malformed' });
  });

  it('says what the authority said, in a list of a state too', async () => {
    const said = { status: 'revoked', why: 'keyCompromise', at: Date.now() };
    await sealedValues(queue, 'revocation').put(thumbprintOf('whole'), said, day);
    const revoked = [[thumbprintOf('whole'), 'revoked']];
    assert.deepEqual(await list({ state: 'revoked' }), revoked);
    assert.deepEqual(await list({ partner: 'whole' }), revoked);
    assert.deepEqual(await list({ partner: 'whole', state: 'in-force' }), []);
    assert.equal(
      (await desk.detail(operatorClient, thumbprintOf('whole'))).reason?.includes('keyCompromise'),
      true,
    );
    await sealedValues(queue, 'revocation').put(thumbprintOf('whole'), { ...said, status: 'good' }, day);
    assert.deepEqual(await list({ state: 'revoked' }), []);
  });
});
