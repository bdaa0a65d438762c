/**
 * A folder as the route to a partner, or as its backup: what lies there, in which order, and what a failure touches.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readConfig } from '../../src/config/load.ts';
import { decodeSync, encode } from '../../src/smime/index.ts';
import type { RouteRate, Sender, SenderParts } from '../../src/smtp/sender.ts';
import { alice, options } from '../attacks/support.ts';
import { type FileOrder, recordFileOrder } from '../support/file-order.ts';

let top: string;
let order: FileOrder;
let openSender: (parts: SenderParts) => Sender;
let withBackup: typeof import('../../src/smtp/failover.ts').withBackup;
before(async () => {
  top = realpathSync(await mkdtemp(join(tmpdir(), 'sealpost-folder-route-')));
  order = await recordFileOrder(top);
  ({ openSender } = await import('../../src/smtp/folder-sender.ts'));
  ({ withBackup } = await import('../../src/smtp/failover.ts'));
});
after(() => rm(top, { recursive: true, force: true }));

let made = 0;
function folderSender(rate?: RouteRate): { folder: string; sender: Sender } {
  made += 1;
  const folder = join(top, `out${made}`);
  const route = { folder, port: 25, tls: 'required', connections: 5 } as const;
  return { folder, sender: openSender({ route, readSecret: () => '', name: 'us.example', rate }) };
}

const mail = Buffer.from('From: <us@own.example>\r\nSubject: order\r\n\r\n4711\r\n');
const encrypted = () => encode(mail, { recipients: [alice.certificate] });
const about = {
  ...{ partner: 'acme', receivedAt: Date.UTC(2026, 10, 30, 5), messageId: '<4711@own.example>' },
  ...{ client: 'erp', metadata: { order: '4711' } },
};
const message = (octets: () => AsyncIterable<Buffer> = encrypted, id = 'o-1') => ({
  ...{ id, about, octets },
  envelope: { from: 'us@own.example', to: ['edi@partner.example', 'ops@partner.example'] },
});
const plain = async function* () {
  yield mail;
};
const outcomeOf = async (sender: Sender, given = message(plain)) => {
  const outcome = await sender.send(given);
  return 'done' in outcome ? 'done' : 'retry' in outcome ? outcome.retry : outcome.suspend;
};

const base = '20261130T050000000Z-o-1';

describe('a message for a folder', () => {
  it('is there as it would have been sent, with whom it is for beside it', async () => {
    const { folder, sender } = folderSender();
    const outcome = await sender.send(message());
    assert.deepEqual(outcome, { done: true, facts: { host: null, folder, file: `${base}.eml` } });
    assert.deepEqual(readdirSync(folder).sort(), [`${base}.eml`, `${base}.json`]);
    const octets = readFileSync(join(folder, `${base}.eml`));
    assert.ok(!octets.includes('4711\r\n') && octets.includes('application/pkcs7-mime'));
    assert.match(decodeSync(octets, options).content?.toString() ?? '', /4711/);
    assert.deepEqual(JSON.parse(readFileSync(join(folder, `${base}.json`), 'utf8')), {
      ...{ version: 1, id: 'o-1', file: `${base}.eml`, ...about },
      receivedAt: '2026-11-30T05:00:00.000Z',
      envelope: message().envelope,
      octets: octets.length,
      sha256: createHash('sha256').update(octets).digest('hex'),
    });
    assert.equal(statSync(join(folder, `${base}.eml`)).mode & 0o007, 0, 'nobody else reads it');
  });

  it('is on disk before it has its name, the .eml has its name last, and then the names are on disk', async () => {
    const { folder, sender } = folderSender();
    await outcomeOf(sender);
    order.take();
    assert.equal(await outcomeOf(sender), 'done');
    const steps = order.take();
    const said = JSON.stringify(steps, undefined, 1);
    const renames = steps.filter(({ step }) => step === 'rename');
    assert.deepEqual(
      renames.map(({ to }) => to),
      [join(folder, `${base}.json`), join(folder, `${base}.eml`)],
      said,
    );
    for (const { path } of renames) {
      const synced = steps.findIndex((each) => each.step === 'sync' && each.path === path);
      const written = steps.findLastIndex((each) => each.step === 'write' && each.path === path);
      assert.ok(
        written >= 0 && synced > written && synced < steps.indexOf(renames[0] ?? steps[0] ?? assert.fail()),
        said,
      );
    }
    assert.deepEqual(steps.at(-1)?.step, 'sync', said);
    assert.equal(steps.at(-1)?.path, folder, said);
  });

  it('is the same files when it comes again, and others for another one', async () => {
    const { folder, sender } = folderSender();
    for (let each = 0; each < 3; each++) assert.equal(await outcomeOf(sender), 'done');
    assert.equal(readdirSync(folder).length, 2);
    assert.equal(await outcomeOf(sender, message(plain, 'o-2')), 'done');
    assert.equal(readdirSync(folder).length, 4);
    await Promise.all(Array.from({ length: 12 }, (_, at) => outcomeOf(sender, message(plain, `side-${at}`))));
    assert.equal(readdirSync(folder).length, 28);
  });

  it('cannot choose its name: an id that is no name is digested', async () => {
    const { folder, sender } = folderSender();
    assert.equal(await outcomeOf(sender, message(plain, '../../outside')), 'done');
    assert.match(readdirSync(folder).join(' '), /^20261130T050000000Z-[0-9a-f]{32}\.eml \S+\.json$/);
  });

  it('leaves nothing of one that no server would take', async () => {
    const { folder, sender } = folderSender();
    for (const text of ['Subject: x\r\n\r\na\0b\r\n', 'Subject: x\r\n\r\nbare\n.\nMAIL\r\n']) {
      const octets = async function* () {
        yield Buffer.from(text);
      };
      assert.equal(await outcomeOf(sender, message(octets)), 'send-refused');
    }
    assert.deepEqual(readdirSync(folder), []);
  });

  it('waits for the rate of its route', async () => {
    let left = 1;
    const rate = { take: async () => (left-- > 0 ? 0 : 1000), room: () => 0, rests: () => 1000 };
    const { folder, sender } = folderSender(rate);
    assert.deepEqual([await outcomeOf(sender), await outcomeOf(sender)], ['done', 'rate-limited']);
    assert.equal(sender.pace, rate);
    assert.equal(readdirSync(folder).length, 2);
  });
});

describe('a folder that fails', () => {
  it('is not made anew when it has disappeared, and touches no other', async () => {
    const [sick, healthy] = [folderSender(), folderSender()];
    assert.equal(await outcomeOf(sick.sender), 'done');
    await rename(sick.folder, `${sick.folder}.unmounted`);
    const outcome = await sick.sender.send(message(plain));
    assert.ok('retry' in outcome);
    assert.deepEqual([outcome.retry, outcome.peer], ['send-failed', 'down']);
    assert.match(String(outcome.facts?.reply), /cannot write into the folder .*: it fails with ENOENT/);
    assert.equal(existsSync(sick.folder), false);
    assert.equal(await outcomeOf(healthy.sender), 'done');
    await rename(`${sick.folder}.unmounted`, sick.folder);
    assert.equal(await outcomeOf(sick.sender), 'done');
  });

  it('leaves no draft of a message that could not be made', async () => {
    const { folder, sender } = folderSender();
    const octets = async function* () {
      yield Buffer.alloc(2_000_000, 'x\r\n');
      throw new Error('the store is away');
    };
    await assert.rejects(outcomeOf(sender, message(octets)), /the store is away/);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('loses the drafts of a process that has died, and keeps those of the living', async () => {
    const { folder, sender } = folderSender();
    await outcomeOf(sender);
    const { draftOwner } = await import('../../src/files.ts');
    const dead = draftOwner.replace(/-\d+-\d+$/, '-4194303-1');
    for (const owner of [dead, draftOwner]) writeFileSync(join(folder, `.sealpost-abc.${owner}`), 'x');
    const later = openSender({
      route: { folder, port: 25, tls: 'required', connections: 5 },
      readSecret: () => '',
      name: 'us.example',
    });
    assert.equal(await outcomeOf(later), 'done');
    assert.deepEqual(readdirSync(folder).sort(), [
      `.sealpost-abc.${draftOwner}`,
      `${base}.eml`,
      `${base}.json`,
    ]);
  });
});

describe('a folder as the backup', () => {
  it('gets what the server of the partner does not take, and nothing while that works', async () => {
    let stopped = false;
    let asked = 0;
    const server = createServer((socket) => {
      asked += 1;
      socket.on('error', () => {});
      socket.end(stopped ? '421 closing\r\n' : '554 5.7.1 not for you\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const route = { host: '127.0.0.1', port, tls: 'none', connections: 1 } as const;
    const first = openSender({ route, readSecret: () => '', name: 'us.example' });
    const { folder, sender: second } = folderSender();
    const sender = withBackup(first, second, { failures: 2, time: 600_000 }, () => performance.now());
    stopped = true;
    assert.equal(await outcomeOf(sender), 'send-failed');
    assert.equal(existsSync(folder), false);
    const outcome = await sender.send(message());
    assert.deepEqual(outcome, {
      done: true,
      facts: { host: null, folder, file: `${base}.eml`, backup: true },
    });
    assert.equal(await outcomeOf(sender, message(plain, 'o-2')), 'done');
    assert.deepEqual([asked, readdirSync(folder).length], [2, 4]);
    sender.close();
    server.close();
  });
});

describe('the settings of a folder', () => {
  const problems = (partner: string, more = '') =>
    readConfig(
      `dataDir: /srv/data\n${more}partners:\n  - { name: acme, addresses: [edi@acme.example], sign: none, ${partner} }\n`,
      '/etc/test.yaml',
    )
      .problems.filter(({ setting }) => setting.includes('folder'))
      .map(({ setting, severity, message: said }) => `${severity} ${setting}: ${said}`);
  const cert = 'certificates: [a.pem]';

  it('may stand for the route or the backup, whatever TLS the other one has', () => {
    for (const partner of [
      `${cert}, route: { folder: /srv/out }`,
      `${cert}, route: { host: a.example, tls: implicit, port: 465 }, backup: { route: { folder: /srv/out } }`,
      `${cert}, route: { folder: /srv/out }, backup: { route: { host: a.example, tls: opportunistic } }`,
    ])
      assert.deepEqual(problems(partner), [], partner);
  });

  it('are refused where they mean nothing, or two things', () => {
    const twice = problems(`${cert}, route: { folder: /srv/out }, backup: { route: { folder: /srv/out } }`);
    assert.deepEqual(twice, ['error partners[0].backup.route.folder: is the folder of route']);
    assert.deepEqual(problems(`${cert}, route: { folder: /srv/data/out }`), [
      'error partners[0].route.folder: overlaps with dataDir',
    ]);
    const drop = 'folders: [{ path: /srv/drop, client: erp }]\n';
    assert.deepEqual(problems(`${cert}, route: { folder: /srv/drop/acme }`, drop), [
      'error partners[0].route.folder: is in folders[0]: what is sent would be sent again',
    ]);
    const text = `partners:\n  - { name: acme, addresses: [edi@acme.example], sign: none, ${cert}, route: { folder: /srv/out, host: a.example, user: u, pins: ['${'ab'.repeat(32)}'], mtaSts: true } }\n`;
    assert.deepEqual(
      readConfig(text, '/etc/test.yaml').problems.map(({ setting, message: said }) => `${setting}: ${said}`),
      ['host', 'user', 'pins', 'mtaSts'].map(
        (name) => `partners[0].route.${name}: is about a server, and folder replaces it`,
      ),
    );
  });

  it('warn of mail that nobody encrypts', () => {
    assert.deepEqual(problems('encrypt: false, backup: { route: { folder: /srv/out } }'), [
      'warning partners[0].backup.route.folder: will have readable mail, because mail to the partner is not encrypted',
    ]);
  });
});
