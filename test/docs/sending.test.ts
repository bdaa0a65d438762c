/** docs/sending.md: its commands are run as they stand, by a shell, and what they print is what the page says. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { blocksOf, settled } from '../support/doc-blocks.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { run } from '../support/peers/run.ts';
import { makeTlsFiles } from '../support/tls.ts';
import { startTlsPeer } from '../support/tls-peer.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const root = resolve(import.meta.dirname, '../..');

interface Session {
  line: string;
  printed: string[];
}

/** Commands after a prompt, and what they print. */
const sessions = blocksOf('docs/sending.md')
  .filter(({ kind }) => kind === 'console')
  .flatMap(({ lines }) =>
    lines.reduce<Session[]>((found, line) => {
      if (line.startsWith('$ ')) found.push({ line: line.slice(2), printed: [] });
      else found.at(-1)?.printed.push(line);
      return found;
    }, []),
  );

/** The same for every run. Columns are as wide as what stands in them. */
const plain = (text: string) =>
  settled(text)
    .replaceAll(/sealpost_\w{10}_\w{49}/g, 'TOKEN')
    .replaceAll(/next in [\w ]+ \([\d:]+\)/g, 'next at TIME')
    .replaceAll(/(key +)\S{43}=/g, '$1KEY')
    .replaceAll(/^(ID .*acme\.example +)\d+/gm, '$1N')
    .replaceAll(/ {2,}/g, '  ')
    .split('\n');

describe('docs/sending.md', { skip: skipWithout('openssl', 'redis-server'), timeout: 600_000 }, () => {
  const world = makeWorld();
  let daemon: TestDaemon;
  let server: KeepingServer;
  before(async () => {
    server = await startKeepingServer();
    const partner = (name: string) => ({
      ...{ name, addresses: [`edi@${name}.example`], encrypt: false, sign: 'none' },
      ...{ from: 'orders@example.com', route: { host: '127.0.0.1', port: server.port, tls: 'none' } },
    });
    daemon = await startDaemon(world, {
      args: ['--only', 'outbound'],
      config: { partners: ['acme', 'globex'].map(partner), retry: { firstDelay: '1h', maxDelay: '1h' } },
    });
    world.file('order.edi', "UNA:+.? '\n");
    mkdirSync(join(world.folder, 'outbox'));
    for (const name of ['a', 'b']) world.file(`outbox/${name}.xml`, `<${name}/>`);
    mkdirSync(join(world.folder, 'bin'));
    const program = `#!/bin/sh\nexec ${join(root, 'bin/sealpost')} "$@"\n`;
    chmodSync(world.file('bin/sealpost', program), 0o755);
  });
  after(async () => {
    await daemon?.stop();
    await server?.close();
    world.remove();
  });

  async function shell(line: string): Promise<string> {
    const env = {
      ...{ PATH: `${join(world.folder, 'bin')}:${process.env.PATH ?? ''}` },
      ...{ SEALPOST_CONFIG: daemon.configFile, NODE_NO_WARNINGS: '1' },
    };
    const ran = await run('sh', ['-c', line], { cwd: world.folder, env });
    assert.equal(ran.code, 0, `${line}: ${ran.stderr}`);
    assert.equal(ran.stderr, '', line);
    return ran.stdout.toString();
  }

  /** The id on the page stands for the message that is here. */
  let waiting = '';
  /** Mails that came to somebody: a recipient that is refused leaves an empty one. */
  const arrived = () => server.kept.filter(({ to }) => to.length > 0).length;
  async function waits(): Promise<string> {
    await daemon.waitFor('all before it have come', () => arrived() === 5);
    server.refuse.set('edi@acme.example', '450 4.2.1 busy, try later');
    const [id = ''] = (await shell('sealpost send --partner acme order.edi')).split('\n');
    const tried = async () =>
      (await daemon.queue.ledger.get(id))?.events.some(({ type }) => type === 'retried');
    await daemon.waitFor('it was tried', tried);
    server.refuse.clear();
    return id;
  }

  it('shows what its commands print', async () => {
    const seen: string[] = [];
    for (const { line, printed } of sessions) {
      if (line.startsWith('openssl ')) continue;
      if (line.startsWith('sealpost messages list')) waiting = await waits();
      if (line === 'sealpost messages retry --partner acme') await daemon.reaches(waiting, 'sent');
      const text = await shell(line.replace(/\bo[0-9a-f]{31}\b/, waiting));
      const [theirs, ours] = [plain(printed.join('\n')), plain(text)];
      // Of several messages, each has its own time.
      if (line.includes('outbox')) ours.sort();
      assert.deepEqual(ours, theirs, line);
      seen.push(line);
    }
    assert.equal(seen.length, 10);
    await daemon.waitFor('the test mail has come', () => arrived() === 7);
  });

  it('has the command that prints a pin', async (t) => {
    const [found, ...others] = sessions.filter(({ line }) => line.startsWith('openssl s_client'));
    assert.ok(found && others.length === 0);
    const files = await makeTlsFiles();
    t.after(() => files.remove());
    const peer = await startTlsPeer({ cert: files.cert, key: files.key });
    t.after(() => peer.stop());
    const text = await shell(found.line.replace('mx.acme.example:25', `127.0.0.1:${peer.port}`));
    const { publicKey } = new X509Certificate(readFileSync(files.cert));
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    assert.equal(text.trim(), createHash('sha256').update(spki).digest('base64'));
    assert.equal(found.printed.join().length, text.trim().length);
  });
});
