/**
 * A certificate that its authority has revoked is still in the configuration of the sender, and whoever stole its key
 * reads the mail. Authorities are those of openssl: its responder and its lists, over HTTP.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { checkConfig } from '../../src/config/check.ts';
import { readConfig } from '../../src/config/load.ts';
import { configSchema, type PartnerConfig } from '../../src/config/schema.ts';
import { toErrorInfo } from '../../src/errors.ts';
import { createLog, type Log } from '../../src/log.ts';
import { outboundProtection, RecipientRevocation } from '../../src/partner/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { entryOf } from '../partner/support.ts';
import { type OpensslCertificate, opensslAnswer, opensslIssue, opensslList } from '../support/openssl-ca.ts';
import { useTestQueue } from '../support/queue.ts';
import { startWeb, type Web } from '../support/web.ts';
import { skipWithout } from '../support/world.ts';

const skip = skipWithout('openssl');
const folder = mkdtempSync(join(tmpdir(), 'sealpost-revoked-'));
after(() => rmSync(folder, { recursive: true }));
const hour = 3_600_000;

/** A partner as the configuration reader makes it. */
function partnerOf(name: string, settings: string): PartnerConfig {
  const text = `partners:\n  - { name: ${name}, addresses: ["edi@${name}.example"], sign: none, certificates: [x.pem], ${settings} }`;
  const { config } = readConfig(
    `trust: { revocation: { hosts: [pki.example.com] } }\n${text}`,
    'sealpost.yaml',
  );
  const [partner] = config?.partners ?? [];
  assert.ok(partner);
  return partner;
}

describe('mail for a certificate that was revoked', { skip }, () => {
  let web: Web;
  let root: OpensslCertificate;
  let queue: QueueRoom;
  let clock = 0;
  let names = 0;
  const held = { good: [] as OpensslCertificate[], revoked: [] as OpensslCertificate[] };
  useTestQueue((opened) => {
    ({ queue } = opened);
  });

  before(async () => {
    web = await startWeb();
    root = opensslIssue(folder, 'Root');
    web.answers.set('/ocsp', (body) => opensslAnswer(folder, body, root, held));
    web.answers.set('/root.crl', () => opensslList(folder, root, held.revoked));
  });
  after(() => web?.close());
  beforeEach(() => {
    // what is issued in the test is in force
    clock = Date.now() + 10_000;
    Object.assign(held, { good: [], revoked: [] });
  });

  const issue = (path = '/ocsp', issuer: OpensslCertificate | undefined = root) =>
    opensslIssue(folder, 'Partner', {
      ...(issuer && { issuer }),
      email: 'edi@partner.example',
      usage: 'digitalSignature,keyAgreement',
      ...(path.endsWith('.crl') ? { crl: web.url(path) } : { access: [`OCSP;URI:${web.url(path)}`] }),
    });

  const trustOf = (more: Record<string, unknown> = {}) =>
    configSchema.parse({
      dataDir: folder,
      trust: { revocation: { hosts: [web.host], allowPrivate: true, timeout: '30s', ...more } },
    }).trust;

  /** A process that sends. */
  function sender({ trust = trustOf(), anchors = [root], intermediates = [] as OpensslCertificate[] } = {}) {
    const of = (list: OpensslCertificate[]) => list.map(({ certificate }) => certificate);
    const warned: unknown[] = [];
    const log: Log = Object.assign(createLog('silent', 'test'), {
      warn: (facts: unknown) => void warned.push(facts),
    });
    const revocation = new RecipientRevocation({
      trust,
      keys: { anchors: of(anchors), intermediates: of(intermediates), approvalAnchors: new Map() },
      values: sealedValues(queue, 'revocation'),
      refused: () => undefined,
      log,
      now: () => clock,
    });
    return {
      revocation,
      warned,
      /** Serial numbers of those that a mail is encrypted for, or the code and what is said. */
      async send(settings: string, certificates: OpensslCertificate[], name = `p${names++}`) {
        const partner = partnerOf(name, settings);
        const entries = certificates.map(({ certificate }) => entryOf(certificate));
        const at = new Date(clock);
        const states = await revocation.statesOf(partner, entries, at);
        try {
          const keys = { identities: [], partners: new Map([[name, entries]]) };
          const { recipients = [] } = outboundProtection(partner, keys, at, undefined, states);
          return recipients.map(({ serialHex }) => serialHex);
        } catch (error) {
          const { code, message } = toErrorInfo(error);
          return `${code}: ${message}`;
        }
      },
      /** What was begun in the background has ended. */
      async asked({ certificate }: OpensslCertificate) {
        return await revocation.ask('p', entryOf(certificate));
      },
    };
  }
  const serialOf = ({ certificate }: OpensslCertificate) => certificate.serialHex;

  for (const [kind, path] of [
    ['responder', '/ocsp'],
    ['list', '/root.crl'],
  ] as const)
    it(`is not encrypted for it when the ${kind} says so, and for that of another partner it is`, async () => {
      const [stolen, other] = [issue(path), issue(path)];
      held.revoked.push(stolen);
      held.good.push(other);
      const { send, warned } = sender();
      assert.deepEqual(await send('revocation: off', [stolen]), [serialOf(stolen)]);
      const refused = await send('revocation: hard', [stolen]);
      assert.match(
        String(refused),
        /^encode-recipient: partner p\d+ has no certificate in force .*was revoked/,
      );
      assert.match(String(refused), /since 2026-01-01.*keyCompromise/);
      assert.deepEqual(await send('revocation: hard', [other]), [serialOf(other)]);
      assert.equal(warned.length, 1);
      // of two, the other one is used
      assert.deepEqual(await send('revocation: soft', [stolen, other]), [serialOf(other)]);
    });

  it('waits for nobody with soft, and knows it for the next one, in other processes too', async () => {
    const stolen = issue();
    held.revoked.push(stolen);
    const first = sender();
    assert.deepEqual(
      await first.send('revocation: soft', [stolen]),
      [serialOf(stolen)],
      'nothing is known yet',
    );
    await first.asked(stolen);
    assert.match(String(await first.send('revocation: soft', [stolen])), /^encode-recipient: /);
    const before = web.asked.length;
    const second = sender();
    assert.match(String(await second.send('revocation: soft', [stolen])), /^encode-recipient: /);
    assert.equal(web.asked.length, before, 'nobody was asked again');
  });

  it('leaves with soft and waits with hard while the responder is down', async () => {
    const certificate = issue('/down');
    const { send, asked } = sender();
    const said = String(await send('revocation: hard', [certificate]));
    assert.match(said, /^encode-revocation: .*it is not known whether .*\/down: the answer was 404$/);
    assert.deepEqual(await send('revocation: soft', [certificate]), [serialOf(certificate)]);
    // it comes back, and is asked again after a minute
    web.answers.set('/down', (body) => opensslAnswer(folder, body, root, { good: [certificate] }));
    clock += 59_000;
    assert.match(String(await send('revocation: hard', [certificate])), /^encode-revocation/);
    clock += 2_000;
    await send('revocation: hard', [certificate]);
    await asked(certificate);
    assert.deepEqual(await send('revocation: hard', [certificate]), [serialOf(certificate)]);
    web.answers.delete('/down');
  });

  it('stays revoked when the responder no longer answers, and when Redis has forgotten it', async () => {
    const stolen = issue('/short');
    held.revoked.push(stolen);
    web.answers.set('/short', (body) => opensslAnswer(folder, body, root, held));
    const { send, asked } = sender();
    await send('revocation: hard', [stolen]);
    web.answers.delete('/short');
    const keys = await queue.redis.keys('*revocation:*');
    assert.ok(keys.length > 0);
    await queue.redis.del(...keys);
    clock += 49 * hour;
    await send('revocation: soft', [stolen]);
    assert.equal((await asked(stolen))?.status, 'revoked');
    assert.match(String(await send('revocation: soft', [stolen])), /^encode-recipient: /);
    assert.match(String(await send('revocation: hard', [stolen])), /^encode-recipient: /);
  });

  it('what was good two days ago is not known any more: hard waits for a new answer', async () => {
    const certificate = issue('/aging');
    web.answers.set('/aging', (body) => opensslAnswer(folder, body, root, { good: [certificate] }));
    const { send } = sender();
    assert.deepEqual(await send('revocation: hard', [certificate]), [serialOf(certificate)]);
    web.answers.delete('/aging');
    clock += 47 * hour;
    assert.deepEqual(await sender().send('revocation: hard', [certificate]), [serialOf(certificate)]);
    clock += 2 * hour;
    assert.match(String(await sender().send('revocation: hard', [certificate])), /^encode-revocation: /);
  });

  it('nobody who writes into Redis can say that it is good', async () => {
    const [stolen, good] = [issue(), issue()];
    held.revoked.push(stolen);
    held.good.push(good);
    const first = sender();
    await Promise.all([first.asked(stolen), first.asked(good)]);
    const keyOf = async ({ certificate }: OpensslCertificate) => {
      const [key = ''] = await queue.redis.keys(`*revocation:${certificate.thumbprint}`);
      return key;
    };
    const sealed = await queue.redis.getBuffer(await keyOf(good));
    assert.ok(sealed);
    await queue.redis.set(await keyOf(stolen), sealed);
    assert.match(String(await sender().send('revocation: hard', [stolen])), /^encode-recipient: /);
  });

  it('asks only where the issuer is known; one that signed itself has nobody to ask', async () => {
    const middle = opensslIssue(folder, 'Middle', { issuer: root });
    const below = issue('/below', middle);
    web.answers.set('/below', (body) => opensslAnswer(folder, body, middle, { good: [below] }));
    const unknown = await sender().send('revocation: hard', [below]);
    assert.match(String(unknown), /^encode-revocation: .*its issuer is not known/);
    const before = web.asked.length;
    clock += 61_000;
    const { send, asked } = sender({ anchors: [], intermediates: [middle] });
    await asked(below);
    assert.deepEqual(await send('revocation: hard', [below]), [serialOf(below)]);
    assert.deepEqual(web.asked.slice(before), ['/below']);
    const own = opensslIssue(folder, 'Alone', {
      email: 'a@b.example',
      usage: 'digitalSignature,keyAgreement',
    });
    assert.deepEqual(await send('revocation: hard', [own]), [serialOf(own)]);
    const elsewhere = sender({ trust: trustOf({ hosts: ['pki.example.com'] }) });
    const refused = await elsewhere.send('revocation: hard', [issue('/ocsp')]);
    assert.match(String(refused), /^encode-revocation: .*its host is not in trust\.revocation\.hosts$/);
  });

  it('is asked about once for all mail of a partner that waits', async () => {
    const certificate = issue('/once');
    web.answers.set('/once', (body) => opensslAnswer(folder, body, root, { good: [certificate] }));
    const { send } = sender();
    const sent = await Promise.all([1, 2, 3, 4, 5].map(() => send('revocation: hard', [certificate])));
    assert.ok(
      sent.every((each) => Array.isArray(each)),
      String(sent),
    );
    assert.equal(web.asked.filter((path) => path === '/once').length, 1);
  });

  it('check says of which nobody can be asked, and what that leads to', async () => {
    const named = opensslIssue(folder, 'Nameless', {
      issuer: root,
      email: 'a@b.example',
      usage: 'keyAgreement',
    });
    const [known, own] = [
      issue(),
      opensslIssue(folder, 'Own', { email: 'a@b.example', usage: 'keyAgreement' }),
    ];
    const file = join(folder, 'check.yaml');
    const check = async (trust: string, revocation: string) => {
      const partners = [named, known, own].map(
        ({ certFile }, index) =>
          `  - { name: p${index}, addresses: ["edi@p${index}.example"], sign: none, revocation: ${revocation}, certificates: [${certFile}] }`,
      );
      writeFileSync(file, `dataDir: data\ntrust: ${trust}\npartners:\n${partners.join('\n')}\n`);
      const problems = await checkConfig(file, { partners: '*', now: new Date(clock) });
      return problems.map(({ message, hint }) => `${message} (${hint})`).filter((text) => /revo/.test(text));
    };
    const hosts = 'revocation: { hosts: [pki.example.com] }';
    const anchored = await check(`{ anchors: [${root.certFile}], ${hosts} }`, 'soft');
    assert.equal(anchored.length, 1, anchored.join());
    assert.match(
      anchored[0] ?? '',
      /CN=Nameless.* was revoked: it names no list and no responder .*certs revoke/,
    );
    const without = await check(`{ ${hosts} }`, 'hard');
    assert.equal(without.length, 2, without.join());
    assert.match(without[1] ?? '', /CN=Partner.*its issuer is not among .*mail for it does not leave/);
    assert.deepEqual(await check(`{ ${hosts} }`, 'off'), []);
    assert.match((await check('{}', 'soft')).join(), /is soft, but no host may be contacted/);
  });
});
