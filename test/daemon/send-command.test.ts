/**
 * `sealpost send` as scripts use it: many files, what can be asked for, and waiting; and routes that log in by token.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { type BearerServer, startBearerServer } from '../support/bearer-smtp.ts';
import { sealpost, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { clientSecret, startTokenServer, type TokenServer } from '../support/token-server.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('sealpost send', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let tls: TlsFiles;
  let tokens: TokenServer;
  let bearer: BearerServer;
  const taken: { to: string[]; text: string }[] = [];
  const partner = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo({ address }, _session, done) {
      if (!address.startsWith('nobody@')) return done();
      done(Object.assign(new Error('5.1.1 unknown'), { responseCode: 550 }));
    },
    onData(stream, { envelope }, done) {
      stream.setEncoding('latin1');
      let text = '';
      stream.on('data', (chunk: string) => {
        text += chunk;
      });
      stream.on('end', () => {
        taken.push({ to: envelope.rcptTo.map(({ address }) => address), text });
        done();
      });
    },
  });

  before(async () => {
    world = makeWorld();
    tls = await makeTlsFiles();
    tokens = await startTokenServer();
    bearer = await startBearerServer(tls, (_user, token) => tokens.valid.has(token));
    await once(partner.listen(0, '127.0.0.1'), 'listening');
    const address = partner.server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const route = { host: '127.0.0.1', port, tls: 'none' };
    const open = { encrypt: false, sign: 'none', from: 'us@own.example' };
    const app = { tokenUrl: tokens.url, clientId: 'me' };
    const file = (name: string, text: string) => {
      const path = world.file(name, text);
      chmodSync(path, 0o600);
      return { file: path };
    };
    const byToken = (oauth2: object) => ({
      ...open,
      route: { host: 'localhost', port: bearer.port, ca: tls.cert, user: 'us@own.example', oauth2 },
    });
    const secret = file('app.secret', clientSecret);
    const refresh = file('refresh.secret', 'refresh-configured');
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [],
        smtp: {},
        workers: { outbound: 2 },
        partners: [
          { name: 'acme', addresses: ['edi@acme.example'], ...open, route },
          { name: 'globex', addresses: ['nobody@globex.example'], ...open, route },
          { name: 'cloud', addresses: ['in@cloud.example'], ...byToken({ ...app, clientSecret: secret }) },
          { name: 'user', addresses: ['in@user.example'], ...byToken({ ...app, refreshToken: refresh }) },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await Promise.all([bearer?.stop(), tokens?.stop()]);
    partner.close();
    tls?.remove();
    world.remove();
  });

  const send = (...args: string[]) => daemon.command(['send', ...args]);
  const lines = (octets: Buffer) => octets.toString().trimEnd().split('\n');

  it('takes files, the files of a folder and a list of names, and waits until all are sent', async () => {
    const folder = join(world.folder, 'batch');
    mkdirSync(join(folder, 'below'), { recursive: true });
    for (const name of ['b.txt', 'a.txt', '.hidden', 'c.txt.part', 'd.tmp'])
      writeFileSync(join(folder, name), name);
    symlinkSync('/etc/hostname', join(folder, 'link'));
    const one = world.file('one.txt', 'one');
    const two = world.file('two\n.txt', 'two');
    const before = taken.length;
    const ran = await daemon.command(
      ['send', '--partner', 'acme', '--wait', '--timeout', '60s', '--files-from0', '-', folder, one],
      { input: `${two}\0` },
    );
    assert.equal(ran.code, 0, ran.stderr);
    const ids = lines(ran.stdout).map((line) => line.split('  ')[0] ?? '');
    assert.equal(new Set(ids).size, 4);
    assert.match(ran.stdout.toString(), /batch\/a\.txt/);
    assert.equal(taken.length, before + 4);
    for (const id of ids) assert.equal((await daemon.reaches(id, 'sent')).partner, 'acme');
    assert.ok(taken.some((mail) => mail.text.includes('filename="two .txt"')));
  });

  it('says which one was refused, and by whom, and sends the others', async () => {
    const file = world.file('order.txt', 'order');
    const ran = await send(
      '--to',
      'edi@acme.example',
      '--to',
      'nobody@globex.example',
      '--wait',
      '--json',
      file,
    );
    assert.equal(ran.code, 1);
    const results = lines(ran.stdout).map((line) => JSON.parse(line));
    assert.deepEqual(
      results.map((each) => [each.partner, each.state, each.reason, each.duplicate]),
      [
        ['acme', 'sent', null, false],
        ['globex', 'suspended', 'send-refused', false],
      ],
    );
    const plain = await send('--partner', 'globex', '--wait', file);
    assert.equal(plain.code, 1);
    assert.match(plain.stderr, /^[^\s:]+: suspended: send-refused: 550 5\.1\.1 unknown$/m);
  });

  it('goes on after a file that cannot be read, and not after an error that all would have', async () => {
    const file = world.file('good.txt', 'good');
    const ran = await send('--partner', 'acme', '/nonexistent', file);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^sealpost: cannot read \/nonexistent: .* \[file-access\]$/m);
    assert.equal(lines(ran.stdout).length, 1);
    // The name of one file says nothing of the others.
    const odd = await send('--partner', 'acme', world.file('a\\b.txt', 'x'), file);
    assert.deepEqual([odd.code, lines(odd.stdout).length], [1, 1]);
    assert.match(odd.stderr, /has folders.* \[request-invalid\]$/m);
    const wrong = await send('--partner', 'acme', '--priority', '11', file, ...Array(40).fill(file));
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /\[request-invalid\]/);
    assert.match(wrong.stderr, /\d+ files were not tried/);
    assert.equal(wrong.stdout.length, 0);
  });

  it('sends the same once with an idempotency key, several files each under a key of its own', async () => {
    const files = ['k1.txt', 'k2.txt'].map((name) => world.file(name, name));
    const again = async (...more: string[]) => {
      const ran = await send('--partner', 'acme', '--idempotency-key', 'run-1', '--json', ...files, ...more);
      assert.equal(ran.code, 0, ran.stderr);
      return lines(ran.stdout).map((line) => JSON.parse(line));
    };
    const first = await again();
    assert.equal(new Set(first.map(({ id }) => id)).size, 2);
    const second = await again(world.file('k3.txt', 'k3'));
    assert.deepEqual(
      second
        .filter(({ duplicate }) => duplicate)
        .map(({ id }) => id)
        .sort(),
      first.map(({ id }) => id).sort(),
    );
    world.file('k1.txt', 'changed');
    const changed = await send('--partner', 'acme', '--idempotency-key', 'run-1', ...files);
    assert.equal(changed.code, 1);
    assert.match(changed.stderr, /\[idempotency-conflict\]/);
  });

  it('keeps metadata, priority and times with the message', async () => {
    const file = world.file('meta.txt', 'meta');
    const notBefore = new Date(Date.now() + 3_600_000).toISOString();
    const notAfter = new Date(Date.now() + 7_200_000).toISOString();
    const asked = ['--metadata', 'order=4711', '--metadata', 'note=a=b', '--priority', '2'];
    const ran = await send(
      '--partner',
      'acme',
      ...asked,
      '--not-before',
      notBefore,
      '--not-after',
      notAfter,
      file,
    );
    assert.equal(ran.code, 0, ran.stderr);
    const record = await daemon.queue.ledger.get(ran.stdout.toString().trim());
    assert.deepEqual(record?.metadata, { order: '4711', note: 'a=b' });
    const delivery = { priority: 2, notBefore: Date.parse(notBefore), notAfter: Date.parse(notAfter) };
    assert.deepEqual(record?.delivery, delivery);
    const waited = await send(
      '--partner',
      'acme',
      '--not-before',
      notBefore,
      '--wait',
      '--timeout',
      '200ms',
      file,
    );
    assert.equal(waited.code, 1);
    assert.match(waited.stderr, /: queued$/m);
  });

  it('refuses calls that cannot be meant', async () => {
    const file = world.file('x.txt', 'x');
    for (const [args, wanted] of [
      [['--partner', 'acme'], /no file/],
      [['--partner', 'acme', '-', '-'], /only once/],
      [['--partner', 'acme', '--files-from0', '-', '-'], /only once/],
      [['--partner', 'acme', '--timeout', '5s', file], /about --wait/],
      [['--partner', 'acme', '--wait', '--timeout', 'soon', file], /no duration/],
      [['--partner', 'acme', '--metadata', 'order', file], /name=value/],
      [['--partner', 'acme', '--metadata', 'a=1', '--metadata', 'a=2', file], /twice/],
    ] as const) {
      const ran = await send(...args);
      assert.equal(ran.code, 2, ran.stderr);
      assert.match(ran.stderr, wanted);
    }
    const unknown = await send('--to', 'edi@acme.example', '--to', 'x@elsewhere.example', file);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /\[partner-unknown\]/);
  });

  it('writes only ids into a pipe while it waits', async () => {
    const file = world.file('pipe.txt', 'pipe');
    const args = ['send', '--config', daemon.configFile, '--partner', 'acme', '--wait', file];
    const ran = await sealpost(args);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout.toString(), /^[^\s]+\n$/);
    assert.equal(ran.stderr, '');
  });

  it('mail waits for a token server that is away, others do not, and it leaves when the server is back', async () => {
    const file = world.file('token.txt', 'token');
    tokens.answer = (response) => response.destroy();
    const id = (await send('--partner', 'cloud', file)).stdout.toString().trim();
    await daemon.waitFor('the attempt has failed', async () => {
      const record = await daemon.queue.ledger.get(id);
      return record?.events.some(({ facts }) => facts.reason === 'token-failed');
    });
    assert.equal((await send('--partner', 'acme', '--wait', file)).code, 0);
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'queued');
    tokens.answer = undefined;
    await daemon.reaches(id, 'sent');
    assert.ok(bearer.mails.length > 0);
    assert.ok(!daemon.log().includes(clientSecret) && !daemon.log().includes('token-1'));
  });

  it('two processes share one refresh token that is replaced at each use', async () => {
    // the first request of each process; tokens that are refused lead to more
    tokens.seconds = 1;
    const files = Array.from({ length: 12 }, (_, at) => world.file(`r${at}.txt`, `r${at}`));
    const ran = await send('--partner', 'user', '--wait', '--timeout', '60s', ...files);
    assert.equal(ran.code, 0, ran.stderr);
    const used = tokens.asked.flatMap((form) => form.get('refresh_token') ?? []);
    assert.equal(new Set(used).size, used.length);
    assert.notEqual(tokens.refreshToken, undefined);
    assert.ok(!used.slice(1).some((token) => daemon.log().includes(token)));
  });
});
