/** The TLS policy of routes in the running daemon: a resolver of its own, pins, and a partner whose TLS has failed. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { startTlsPeer, type TlsPeer } from '../support/tls-peer.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('TLS of routes', { skip: skipWithout('openssl') || skipWithoutUnbound() }, () => {
  let world: World;
  let daemon: TestDaemon;
  let unbound: Unbound;
  let files: TlsFiles;
  let published: TlsPeer;
  let other: TlsPeer;

  before(async () => {
    world = makeWorld();
    files = await makeTlsFiles('DNS:mx.partner.test');
    published = await startTlsPeer(files);
    other = await startTlsPeer(files);
    const key = new X509Certificate(readFileSync(files.cert)).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    const pin = createHash('sha256').update(key).digest('hex');
    const tlsa = `_${published.port}._tcp.mx IN TLSA 3 1 1 ${pin}`;
    const records = ['@ IN MX 10 mx', 'mx IN A 127.0.0.1', tlsa];
    unbound = await startUnbound([{ name: 'partner.test', signed: true, records }]);
    const partner = (name: string, address: string, route: object) => ({
      ...{ name, addresses: [address], encrypt: false, sign: 'none', from: 'orders@own.example', route },
    });
    daemon = await startDaemon(world, {
      config: {
        dns: { resolver: '127.0.0.1', port: unbound.port },
        partners: [
          partner('acme', 'edi@partner.test', { port: published.port, dane: 'required' }),
          partner('pinned', 'edi@pinned.example', {
            ...{ host: '127.0.0.1', port: other.port, pins: ['ab'.repeat(32)] },
          }),
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    for (const each of [published, other]) each?.stop();
    unbound?.stop();
    files?.remove();
    world?.remove();
  });

  async function send(partner: string, to: string): Promise<string> {
    const file = world.file('out.eml', `From: orders@own.example\r\nTo: ${to}\r\nSubject: x\r\n\r\nbody\r\n`);
    const { code, stdout, stderr } = await daemon.command(['send', '--partner', partner, file]);
    assert.equal(code, 0, stderr);
    return stdout.toString().trim();
  }

  it('sends by what DNS proves, while mail to a server with another key than the pinned one waits', async () => {
    const waiting = await send('pinned', 'edi@pinned.example');
    await daemon.waitFor('an attempt', () => other.lines.includes('clear STARTTLS'));
    const sent = await send('acme', 'edi@partner.test');
    await daemon.reaches(sent, 'sent');
    assert.deepEqual(published.taken, [{ secure: true, client: undefined }]);
    const retried = await daemon.waitFor('the attempt in the ledger', async () =>
      (await daemon.queue.ledger.get(waiting))?.events.find(({ type }) => type === 'retried'),
    );
    assert.equal(retried.facts.reason, 'tls-failed');
    assert.match(String(retried.facts.reply), /not one of the pinned ones/);
    assert.deepEqual([other.taken, other.lines.filter((line) => line.startsWith('tls '))], [[], []]);
  });
});
