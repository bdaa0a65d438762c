/**
 * What earlier versions stored: the daemon of today opens a copy of it, and every message ends delivered or sent.
 * `test/fixtures/VERSION` was written by that version (`scripts/stored-fixture.ts`).
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { bootDaemon, type TestDaemon } from '../support/daemon.ts';
import { openssl, skipWithout } from '../support/world.ts';

interface Stored {
  id: string;
  direction: 'inbound' | 'outbound';
  what: string;
  state: string;
  act?: 'resume' | 'decode';
  marker: string;
}

const fixtures = join(import.meta.dirname, '../fixtures');

/** A mail server of the partner that takes everything. */
async function startPartner(): Promise<{ port: number; mails: Buffer[]; stop(): Promise<void> }> {
  const mails: Buffer[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onData(stream, _session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        mails.push(Buffer.concat(chunks));
        done();
      });
    },
  });
  const listener = await new Promise<ReturnType<SMTPServer['listen']>>((resolve) => {
    const listening = server.listen(0, '127.0.0.1', () => resolve(listening));
  });
  const address = listener.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { port: address.port, mails, stop: () => new Promise((done) => server.close(() => done())) };
}

for (const version of ['0.1.0', 'unreleased-5c5af3f', 'unreleased-0262f5b']) {
  // What waits for a key is brought back by a person, or by the daemon, which has the key by now.
  const byPerson = version === '0.1.0';
  describe(`what version ${version} stored`, { skip: skipWithout('openssl') }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealpost-stored-'));
    const configFile = join(folder, 'sealpost.yaml');
    const { partnerPort, messages }: { partnerPort: number; messages: Stored[] } = JSON.parse(
      readFileSync(join(fixtures, version, 'expected.json'), 'utf8'),
    );
    let partner: Awaited<ReturnType<typeof startPartner>>;
    let daemon: TestDaemon;

    before(async () => {
      cpSync(join(fixtures, version), folder, { recursive: true });
      // Git does not keep who may read a file.
      for (const secret of globSync(['keys/*', 'data/spool.key'], { cwd: folder }))
        chmodSync(join(folder, secret), 0o600);
      partner = await startPartner();
      const text = readFileSync(configFile, 'utf8')
        .replaceAll(`port: ${partnerPort}`, `port: ${partner.port}`)
        .replace(/^retry: \{/m, `retry: { onKeys: { enabled: ${!byPerson} },`);
      assert.ok(text.includes('onKeys'));
      writeFileSync(configFile, text);
      daemon = await bootDaemon(folder, configFile);
    });
    after(async () => {
      await daemon?.stop();
      await partner?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Folders that were delivered for a message, the oldest first. */
    const deliveries = ({ id }: Stored) =>
      globSync(`delivered/*/*${id}*`, { cwd: folder })
        .toSorted()
        .map((name) => join(folder, name));

    it('has messages in every state', () => {
      const states = new Set(messages.map(({ direction, state }) => `${direction} ${state}`));
      assert.deepEqual([...states].sort(), [
        'inbound decoded',
        'inbound delivered',
        'inbound received',
        'inbound suspended',
        'outbound queued',
        'outbound suspended',
      ]);
    });

    for (const stored of messages.filter(({ direction }) => direction === 'inbound'))
      it(`delivers ${stored.id}: ${stored.what}`, async () => {
        const { id, act, marker, state } = stored;
        const known = await daemon.queue.ledger.get(id);
        assert.equal(known?.messageId, `<${marker}@partner.example>`);
        assert.equal(known.envelope.from, 'edi@partner.example');
        assert.equal(known.origin.kind, 'smtp');
        assert.ok(known.mailbox);
        if (act === 'decode' && (byPerson || state !== 'suspended')) {
          assert.equal(known.state, state);
          const ran = await daemon.command(['messages', 'decode', id]);
          assert.equal(ran.code, 0, ran.stderr);
        }
        const record = await daemon.reaches(id, 'delivered');
        const folders = deliveries(stored);
        assert.equal(folders.length, 1);
        const body = readFileSync(join(folders[0] ?? '', 'body.txt'), 'utf8');
        assert.ok(body.includes(marker));
        const verdict: { layers: { type: string }[] } = JSON.parse(
          readFileSync(join(folders[0] ?? '', 'verdict.json'), 'utf8'),
        );
        assert.ok(verdict.layers.length > 1, 'signed and encrypted');
        assert.equal(record.receivedAt, known.receivedAt);
      });

    for (const { id, what, act, marker } of messages.filter(({ direction }) => direction === 'outbound'))
      it(`sends ${id}: ${what}`, async () => {
        if (act === 'resume') assert.equal((await daemon.command(['messages', 'resume', id])).code, 0);
        await daemon.reaches(id, 'sent');
        const mail = partner.mails.find((each) => each.includes(`Subject: ${marker}`));
        assert.ok(mail);
        const keys = join(folder, 'keys');
        const signed = openssl(
          ['cms', '-decrypt', '-recip', join(keys, 'partner.pem'), '-inkey', join(keys, 'partner.key.pem')],
          mail,
        );
        const content = openssl(['cms', '-verify', '-CAfile', join(keys, 'root.pem')], signed);
        assert.ok(content.includes(marker));
      });

    const inLine = messages.filter(({ what }) => what.startsWith('in strict order'));
    if (inLine.length > 0)
      it('keeps the order, what was asked for, and the idempotency keys', async () => {
        const sent = await Promise.all(inLine.map(({ id }) => daemon.reaches(id, 'sent')));
        assert.deepEqual(
          sent.map(({ metadata, delivery }) => [metadata, delivery]),
          ['first', 'second'].map((place) => [{ place }, { priority: 2 }]),
        );
        const placeOf = ({ marker }: Stored) =>
          partner.mails.findIndex((mail) => mail.includes(`Subject: ${marker}`));
        const places = inLine.map(placeOf);
        assert.ok((places[0] ?? -1) >= 0 && (places[0] ?? 0) < (places[1] ?? 0), `${places}`);
        const other = join(folder, 'other.eml');
        writeFileSync(other, 'From: orders@own.example\r\nSubject: another mail\r\n\r\nx\r\n');
        const again = await daemon.command([
          'send',
          other,
          '--partner',
          'third',
          '--idempotency-key',
          'key-first',
        ]);
        assert.deepEqual([again.code, /idempotency-conflict/.test(again.stderr)], [1, true]);
      });

    it('reports what was suspended before', async () => {
      const suspended = messages.filter(
        ({ state, direction }) => state === 'suspended' && direction === 'inbound',
      );
      await daemon.waitFor(
        'the reports',
        () => readdirSync(join(folder, 'reports')).length >= suspended.length - 1,
      );
    });

    it('leaves nothing behind in the queues', async () => {
      const depth = await daemon.queue.queues.depth();
      for (const { waiting, active, delayed } of Object.values(depth))
        assert.equal(waiting + active + delayed, 0);
      const count = await daemon.queue.ledger.count();
      assert.equal(count.delivered + count.sent, messages.length);
    });
  });
}
