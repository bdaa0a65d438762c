/** Suspended messages are reported to destinations of their own, and stay what they are. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { assertDocument } from '../support/documents.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

describe('routing of suspended messages', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let hook: Hook;
  let failed: string;
  let blocked: string;
  before(async () => {
    world = makeWorld();
    hook = await startHook();
    failed = join(world.folder, 'failed');
    blocked = join(world.folder, 'blocked');
    const secret = { file: world.file('hook-secret', 'a secret of the tests') };
    const webhook = { type: 'webhook', url: hook.url, secret, allowPrivate: true };
    const into = (path: string) => [{ type: 'directory', path }];
    daemon = await startDaemon(world, {
      config: {
        retry: { attempts: 3, firstDelay: '100ms', maxDelay: '200ms' },
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            destinations: into(join(world.folder, 'inbox')),
            onSuspend: { destination: { type: 'directory', path: failed }, include: 'original' },
          },
          {
            name: 'bills',
            addresses: ['bills@own.example'],
            destinations: into(blocked),
            onSuspend: { destination: { name: 'alarm', ...webhook }, include: 'original' },
          },
          {
            name: 'quiet',
            addresses: ['quiet@own.example'],
            destinations: into(join(world.folder, 'quiet')),
            onSuspend: { destination: webhook },
          },
        ],
        partners: [
          {
            name: 'partner',
            addresses: [world.partner.email],
            certificates: [world.partner.certFile],
            identity: 'own',
            from: world.own.email,
            route: { host: '127.0.0.1', port: 1, tls: 'none' },
            onSuspend: { destination: webhook, include: 'original' },
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    hook?.close();
    world?.remove();
  });

  const plain = 'From: edi@partner.example\r\nSubject: neither\r\n\r\nnot S/MIME at all\r\n';
  const eventsOf = async (id: string) =>
    (await daemon.queue.ledger.get(id))?.events.map(({ type }) => type) ?? [];
  const event = async (id: string, type: string, count = 1) =>
    await daemon.waitFor(
      `${type} in the ledger`,
      async () => (await eventsOf(id)).filter((each) => each === type).length >= count,
    );
  const reports = () => readdirSync(failed).filter((name) => !name.startsWith('.'));
  const postedOf = (id: string) => hook.posted.filter(({ body }) => JSON.parse(body).id === id);
  const sha256 = (octets: Buffer) => createHash('sha256').update(octets).digest('hex');

  it('puts report and original into a folder, and again when it fails again', async () => {
    const id = await daemon.accept(Buffer.from(plain));
    const record = await daemon.reaches(id, 'suspended');
    await event(id, 'reported');
    const [folder = ''] = reports();
    assert.match(folder, new RegExp(`^\\d{8}T\\d{9}Z-${id}\\.suspended\\.inbound\\.0$`));
    const report = JSON.parse(readFileSync(join(failed, folder, 'report.json'), 'utf8'));
    assertDocument('report', report);
    const original = readFileSync(join(failed, folder, 'original.eml'));
    assert.ok(original.toString().endsWith(plain));
    assert.deepEqual(report.original, {
      octets: original.length,
      sha256: sha256(original),
      file: 'original.eml',
    });
    assert.equal(report.kind, 'suspended');
    assert.deepEqual([report.id, report.direction, report.mailbox], [id, 'inbound', 'orders']);
    assert.deepEqual(report.failed, { step: 'decode', to: null });
    assert.equal(report.reason.code, 'not-smime');
    assert.ok(report.reason.explanation.length > 10);
    assert.deepEqual([report.starts, report.resumed], [1, 0]);
    assert.deepEqual(report.envelope, record.envelope);
    assert.ok(Date.parse(report.receivedAt) <= Date.parse(report.suspendedAt));
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'suspended');

    assert.equal((await daemon.command(['messages', 'resume', id])).code, 0);
    await event(id, 'reported', 2);
    assert.deepEqual(
      reports()
        .map((name) => name.slice(name.indexOf('.suspended')))
        .toSorted(),
      ['.suspended.inbound.0', '.suspended.inbound.1'],
    );
    assert.equal((await daemon.command(['messages', 'terminate', id, '--why', 'test'])).code, 0);
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'terminated');
    assert.equal(reports().length, 2);
  });

  it('posts it to a webhook with one key for every attempt, and the message is delivered after resume', async () => {
    // where the mailbox's folder should be is a file: the hand-off fails, and not the decoding
    rmSync(blocked, { recursive: true, force: true });
    writeFileSync(blocked, '');
    hook.answers.push(503);
    const mail = world.mail(textEntity('a bill'));
    const id = await daemon.accept(mail, { to: ['bills@own.example'] });
    assert.equal((await daemon.reaches(id, 'suspended')).reason, 'attempts-exhausted');
    await event(id, 'reported');
    const posted = postedOf(id);
    assert.equal(posted.length, 2);
    const keys = new Set(posted.map(({ headers }) => headers['idempotency-key']));
    assert.deepEqual([...keys], [`${id}.suspended.handoff.directory.0`]);
    assert.match(String(posted[0]?.headers['sealpost-signature']), /^t=\d+,v1=[0-9a-f]{64}$/);
    const report = JSON.parse(posted[1]?.body ?? '');
    assertDocument('report', report);
    assert.deepEqual(report.failed, { step: 'handoff', to: 'directory' });
    assert.deepEqual([report.destination, report.starts], ['alarm', 3]);
    assert.equal(report.reason.facts.last, 'handoff-failed');
    const data = Buffer.from(report.original.data, 'base64');
    assert.ok(data.includes(mail.subarray(-200)), 'encrypted, as it came');
    assert.equal(report.original.sha256, sha256(data));
    assert.doesNotMatch(posted[1]?.body ?? '', /a bill/);

    rmSync(blocked);
    mkdirSync(blocked);
    assert.equal((await daemon.command(['messages', 'resume', id])).code, 0);
    await daemon.reaches(id, 'delivered');
    assert.equal(postedOf(id).length, 2, 'nothing is reported of what went well');
  });

  it('gives a report up when nobody takes it, and never reports that', async () => {
    hook.answers.push(500, 400, 500);
    const id = await daemon.accept(Buffer.from(plain), { to: ['quiet@own.example'] });
    await event(id, 'report-failed');
    assert.equal(postedOf(id).length, 3);
    const report = JSON.parse(postedOf(id)[0]?.body ?? '');
    assertDocument('report', report);
    assert.equal('original' in report, false, 'it was not asked for');
    const record = await daemon.queue.ledger.get(id);
    assert.deepEqual([record?.state, record?.reason], ['suspended', 'not-smime']);
    const { failures } = await daemon.queue.queues.depth();
    assert.deepEqual(failures, { waiting: 0, active: 0, delayed: 0 });
    assert.equal((await daemon.command(['messages', 'terminate', id, '--why', 'test'])).code, 0);
  });

  it('says that the original is gone when the message has ended before the report', async () => {
    hook.answers.push(500);
    process.kill(daemon.pidOf('handoff'), 'SIGSTOP');
    const id = await daemon.accept(Buffer.from(`X-No: 2\r\n${plain}`), { to: ['bills@own.example'] });
    await daemon.reaches(id, 'suspended');
    await daemon.queue.flow.terminate(id, 'test');
    process.kill(daemon.pidOf('handoff'), 'SIGCONT');
    await event(id, 'reported');
    const report = JSON.parse(postedOf(id).at(-1)?.body ?? '');
    assertDocument('report', report);
    assert.equal(report.original, null);
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'terminated');
  });

  it('tells of a message to a partner that could not be sent', async () => {
    const file = world.file('out.eml', 'Subject: out\r\n\r\nfor the partner\r\n');
    const sent = await daemon.command(['send', '--partner', 'partner', file]);
    assert.equal(sent.code, 0, sent.stderr);
    const id = sent.stdout.toString().trim();
    await event(id, 'reported');
    const report = JSON.parse(postedOf(id).at(-1)?.body ?? '');
    assertDocument('report', report);
    assert.deepEqual([report.direction, report.mailbox, report.partner], ['outbound', null, 'partner']);
    assert.deepEqual([report.failed.step, report.starts], ['send', 3]);
    assert.match(Buffer.from(report.original.data, 'base64').toString(), /for the partner/);
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'suspended');
  });
});
