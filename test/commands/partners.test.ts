/** Partners by command: written, shown, checked, renamed and removed, and what waits for them. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { configJsonSchema } from '../../scripts/config-schema.ts';
import { CertStore } from '../../src/certstore/index.ts';
import { ClientRegistry } from '../../src/client/registry.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/log.ts';
import { type OutboundJob, type Outcome, openQueue, type QueueRoom } from '../../src/queue/index.ts';
import { encodeSync, protectionOf } from '../../src/smime/index.ts';
import { command } from '../support/command.ts';
import { until } from '../support/messages.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

describe('sealpost partners', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let folder: string;
  let configFile: string;
  let count = 0;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
  });
  after(async () => {
    await server?.stop();
    world?.remove();
  });
  beforeEach(() => {
    folder = join(world.folder, `config-${++count}`);
    mkdirSync(folder);
    configFile = join(folder, 'sealpost.yaml');
    writeConfig({});
  });

  function writeConfig(settings: Record<string, unknown>): void {
    const config = {
      dataDir: server.dataDir,
      redis: { url: server.url, prefix: `c${count}` },
      identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
      ...settings,
    };
    writeFileSync(configFile, stringify(config));
  }
  const run = async (...args: string[]) => {
    const ran = await command([...args, '--config', configFile], { env: { SUDO_USER: 'alice' } });
    return { ...ran, stdout: ran.stdout.toString() };
  };
  const fine = async (...args: string[]) => {
    const ran = await run(...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };
  const textOf = (name: string) => readFileSync(join(folder, 'partners', name), 'utf8');
  const add = (name: string, ...args: string[]) =>
    fine(
      'partners',
      'add',
      name,
      '--address',
      'edi@partner.example',
      '--cert',
      world.partner.certFile,
      ...args,
    );

  it('add writes a file that a person can go on with, and shows what it understood', async () => {
    const { stdout, stderr } = await add(
      'acme',
      '--host',
      'mail.acme.example',
      '--from',
      'orders@own.example',
    );
    const { thumbprint, thumbprintSha1, serialHex } = world.partner.certificate;
    for (const part of [
      'CN=edi@partner.example',
      thumbprint,
      thumbprintSha1,
      serialHex.replace(/^(?:00)+/, '').toUpperCase(),
      'rsa 2048',
      'encrypt, verify',
    ])
      assert.ok(stdout.includes(part), part);
    assert.doesNotMatch(stderr, /names/, 'the address is in the certificate');
    const text = textOf('acme.yaml');
    assert.match(text, /^# yaml-language-server: \$schema=\.\/\.partner\.schema\.json\n/);
    assert.match(text, /#require: /);
    const [partner] = loadConfig(configFile).partners;
    assert.equal(partner?.identity, 'own');
    assert.equal(partner?.from, 'orders@own.example');
    assert.equal(partner?.route.host, 'mail.acme.example');
    assert.match(textOf('acme.pem'), /SHA-256[\s\S]*BEGIN CERTIFICATE/);
    assert.equal(textOf('.partner.schema.json'), configJsonSchema('partner.schema.json'));
    const { stdout: checked } = await fine('partners', 'check', 'acme');
    assert.equal(checked, 'acme: no problems\n');
  });

  it('add says what a person should compare, and writes nothing that is wrong', async () => {
    const { stderr } = await fine(
      ...['partners', 'add', 'other', '--address', '@other.example', '--cert', world.partner.certFile],
    );
    assert.match(stderr, /names edi@partner\.example, and not @other\.example: compare its thumbprint/);
    for (const [args, why] of [
      [['--address', 'nobody', '--cert', world.partner.certFile], /is not an address/],
      [['--address', 'a@b.example'], /would have no certificate/],
      [['--address', 'edi@x.example', '--cert', world.own.keyFile], /no certificate/],
      [['--address', '@other.example', '--cert', world.partner.certFile], /is an address of other already/],
      [
        ['--address', 'edi@x.example', '--cert', world.partner.certFile, '--identity', 'none'],
        /there is no identity/,
      ],
    ] as const) {
      const ran = await run('partners', 'add', 'x', ...args);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, why);
      if (ran.stderr.includes('[config-invalid]'))
        assert.match(ran.stderr, /^sealpost: partner x is not added \[/);
      assert.deepEqual(
        readdirSync(join(folder, 'partners')).filter((name) => name.startsWith('x')),
        [],
      );
    }
    for (const name of ['other', 'OTHER']) {
      const ran = await run(
        'partners',
        'add',
        name,
        '--address',
        'a@b.example',
        '--cert',
        world.partner.certFile,
      );
      assert.match(ran.stderr, /is there already/);
    }
  });

  it('add writes the first partner beside a mailbox that takes mail of partners only', async () => {
    const destinations = [{ type: 'directory', path: 'in' }];
    const orders = { name: 'orders', addresses: ['orders@own.example'], destinations };
    const smtp = { listen: [{ host: '127.0.0.1', port: 2525 }] };
    writeConfig({ smtp, mailboxes: [{ ...orders, require: ['encrypted', 'signed', 'partner'] }] });
    const before = await fine('check');
    assert.match(before.stdout, /warning: .*there is none; all mail is suspended/);
    await add('acme');
    assert.match((await fine('check')).stdout, /no problems/);
  });

  it('show names the profile of a partner that has one, else its preset', async () => {
    await add('acme');
    assert.match((await fine('partners', 'show', 'acme')).stdout, /encrypted, preset default\n/);
    edit('acme.yaml', 'profile: smime-4.0');
    assert.match((await fine('partners', 'show', 'acme')).stdout, /encrypted, profile smime-4\.0\n/);
  });

  it('rename to a name that cannot be one changes nothing, and says so', async () => {
    await add('acme');
    const before = textOf('acme.yaml');
    const ran = await run('partners', 'rename', 'acme', 'a b');
    assert.match(
      ran.stderr,
      /^sealpost: partner acme keeps its name \[config-invalid\]\n.*acme\.yaml:3:7: error: name/,
    );
    assert.equal(textOf('acme.yaml'), before);
  });

  it('look-alike-names: add and show have letters of other scripts escaped, where a person compares names', async () => {
    const alike = world.party('edi@else.example', { commonName: 'P\u0430rtner', key: 'p256' });
    const args = ['--address', 'edi@partner.example', '--cert', alike.certFile];
    const added = await fine('partners', 'add', 'alike', ...args);
    const shown = await fine('partners', 'show', 'alike');
    for (const text of [added.stdout, shown.stdout]) assert.match(text, /^ *subject.*P\\u\{430\}rtner/m);
    assert.match(added.stderr, /P\\u\{430\}rtner names edi@else\.example/);
    for (const name of ['alike.yaml', 'alike.pem']) assert.match(textOf(name), /^[\x20-\x7e\n]+$/);
  });

  it('add asks which key signs, if there are several', async () => {
    const second = { name: 'second', certificate: world.own.certFile, key: world.own.keyFile };
    const first = { name: 'first', certificate: world.own.certFile, key: world.own.keyFile };
    writeConfig({ identities: [first, second] });
    const args = [
      'partners',
      'add',
      'a',
      '--address',
      'edi@partner.example',
      '--cert',
      world.partner.certFile,
    ];
    assert.match((await run(...args)).stderr, /which key signs[\s\S]*first, second/);
    await fine(...args, '--identity', 'second');
    assert.equal(loadConfig(configFile).partners[0]?.identity, 'second');
  });

  it('add takes the certificates of a signed mail, encrypted or not, and of no other', async () => {
    for (const to of [world.own, false] as const) {
      const mail = world.mail(textEntity('hello'), { to, signArgs: [] });
      const file = world.file('signed.eml', mail);
      const name = to ? 'encrypted' : 'plain';
      const { stdout, stderr } = await fine(
        ...['partners', 'add', name, '--address', `${name}@partner.example`, '--from-mail', file],
      );
      assert.ok(stdout.includes(world.partner.certificate.thumbprint));
      assert.match(stderr, /anyone can sign a mail/);
    }
    const changed = world
      .mail(textEntity('hello'), { to: false })
      .toString('latin1')
      .replace('hello', 'jello');
    const plain = Buffer.from('From: <edi@partner.example>\r\nSubject: x\r\n\r\nhello\r\n');
    const args = ['partners', 'add', 'no', '--address', 'no@partner.example', '--from-mail'];
    for (const octets of [Buffer.from(changed, 'latin1'), plain]) {
      const ran = await run(...args, world.file('other.eml', octets));
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /\[(?:signature-invalid|not-smime)\]/);
      assert.equal(existsSync(join(folder, 'partners/no.yaml')), false);
    }
  });

  it('add takes the certificate that the signer wants mail encrypted for, too', async () => {
    const encryption = world.party('enc@partner.example', { key: 'p256', keyUsage: ['keyAgreement'] });
    const mail = encodeSync(Buffer.from('From: <edi@partner.example>\r\n\r\nhello\r\n'), {
      ...protectionOf('default'),
      identity: world.partner.identity,
      encryptionCertificate: encryption.certificate,
      at: new Date(),
    });
    const file = world.file('preference.eml', mail);
    const { stdout } = await fine(
      ...['partners', 'add', 'acme', '--address', '@partner.example', '--from-mail', file],
    );
    for (const each of [world.partner, encryption]) assert.ok(stdout.includes(each.certificate.thumbprint));
    assert.equal(textOf('acme.pem').match(/BEGIN CERTIFICATE/g)?.length, 2);
  });

  it('list and show say where a partner is configured, and that commands leave the configuration file alone', async () => {
    const plain = { name: 'inline', addresses: ['a@inline.example'], encrypt: false, sign: 'none' };
    writeConfig({ partners: [plain] });
    await add('acme');
    const rows: { name: string; file: string; editable: boolean }[] = JSON.parse(
      (await fine('partners', 'list', '--json')).stdout,
    );
    assert.deepEqual(
      rows.map(({ name, file, editable }) => [name, file, editable]),
      [
        ['inline', configFile, false],
        ['acme', join(folder, 'partners/acme.yaml'), true],
      ],
    );
    const shown = await fine('partners', 'show', 'ACME');
    assert.ok(shown.stdout.includes(world.partner.certificate.thumbprint));
    assert.match((await fine('partners', 'show', 'inline')).stdout, /commands do not change it/);
    assert.match((await run('partners', 'show', 'nobody')).stderr, /\[partner-unknown\]/);
    const before = readFileSync(configFile, 'utf8');
    for (const args of [
      ['remove', 'inline'],
      ['rename', 'inline', 'x'],
    ]) {
      const ran = await run('partners', ...args);
      assert.match(ran.stderr, /which no command changes: edit it there[\s\S]*\[usage\]/);
    }
    assert.equal(readFileSync(configFile, 'utf8'), before);
  });

  it('check finds what is wrong with one partner, and does not speak of others', async () => {
    await add('acme');
    const bad = { name: 'bad', addresses: ['a@bad.example'], identity: 'own', certificates: ['none.pem'] };
    writeFileSync(join(folder, 'partners/bad.yaml'), stringify(bad));
    assert.equal((await fine('partners', 'check', 'acme')).stdout, 'acme: no problems\n');
    const ran = await run('partners', 'check', 'bad');
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /bad\.yaml:6:5: error: certificates\[0\]: .*none\.pem: there is no such file/);
    assert.equal((await run('partners', 'check')).code, 1);
    assert.match((await run('partners', 'check', 'nobody')).stderr, /\[partner-unknown\]/);
  });

  /** The queue with the configuration as it is now. */
  const openNow = () => openQueue(loadConfig(configFile), { role: 'test', log: createLog('silent', 'test') });
  const edit = (name: string, more: string) =>
    writeFileSync(join(folder, 'partners', name), `${textOf(name)}${more}\n`);
  async function send(partner: string, text: string, ...args: string[]): Promise<string> {
    const file = world.file(
      `${text}.eml`,
      `From: <orders@own.example>\r\nSubject: ${text}\r\n\r\n${text}\r\n`,
    );
    const { stdout } = await fine('send', '--partner', partner, ...args, file);
    return stdout.trim();
  }
  async function work(queue: QueueRoom, answer: (job: OutboundJob) => Outcome | undefined) {
    const order: string[] = [];
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job: OutboundJob) => {
        const other = answer(job);
        if (other) return other;
        order.push(job.id);
        await queue.flow.sent(job, {});
        return { done: true };
      },
      { concurrency: 4 },
    );
    return { order, stop: () => worker.close(500) };
  }

  it('show has the route, the rules of its profiles, and what failed last in its mail alone', async () => {
    await add('acme');
    edit('acme.yaml', 'minimumProfile: smime-4.0');
    const id = await send('acme', 'refused');
    const queue = await openNow();
    try {
      const said = { reply: '550 5.7.1 no\u202email' };
      const failing = await work(queue, () => ({ suspend: 'send-refused', facts: said }));
      await until(async () => (await queue.ledger.get(id))?.state === 'suspended');
      await failing.stop();
    } finally {
      await queue.close();
    }
    const { stdout } = await fine('partners', 'show', 'acme');
    assert.match(stdout, /^ {2}route {8}.*, port 25, TLS required$/m);
    assert.match(stdout, /^ {2}profile {6}smime-4\.0, for mail from it: /m);
    assert.match(stdout, /^ {4}\S+ must: .* \(RFC 8551, .*\)$/m);
    assert.match(stdout, new RegExp(`last error .* outbound ${id} suspended \\[send-refused\\]: 550`));
    assert.ok(!stdout.includes('\u202e'), 'what reads backwards is escaped');
    const { errors } = JSON.parse((await fine('partners', 'show', 'acme', '--json')).stdout);
    assert.deepEqual(
      errors.map((each: Record<string, unknown>) => [each.id, each.code]),
      [[id, 'send-refused']],
    );
    await fine('messages', 'terminate', id, '--why', 'test');
  });

  it('rename carries what waits: in strict order, delayed, suspended, parked, with its idempotency and grants', async () => {
    await add('acme');
    edit('acme.yaml', 'order: stop');
    const [first, second] = [await send('acme', '1', '--idempotency-key', 'k1'), await send('acme', '2')];
    const delayed = await send('acme', '3', '--not-before', new Date(Date.now() + 3600_000).toISOString());
    let queue = await openNow();
    // the first waits for a retry, and the others are parked behind it in the order
    const failing = await work(queue, ({ id }) =>
      id === first ? { suspend: 'send-refused', facts: {} } : undefined,
    );
    await until(async () => (await queue.ledger.get(first))?.state === 'suspended');
    await failing.stop();
    const storeOf = (room: QueueRoom) =>
      CertStore.open({ ...room, folder: server.dataDir, log: createLog('silent', 'test'), now: Date.now });
    await (await storeOf(queue)).put(
      world.own.certificate,
      {
        ...{ partner: 'acme', uses: ['encrypt'], from: null, until: null, source: 'operator' },
        ...{ findings: [], rule: null, announcedBy: null, message: null },
      },
      'approved',
      { by: 'alice', why: 'test' },
    );
    await queue.close();

    assert.match((await fine('partners', 'rename', 'acme', 'acme-gmbh')).stdout, /is called acme-gmbh/);
    await fine('partners', 'rename', 'acme-gmbh', 'acme-ag');
    const [partner] = loadConfig(configFile).partners;
    assert.deepEqual([partner?.name, partner?.formerNames], ['acme-ag', ['acme', 'acme-gmbh']]);
    assert.match(textOf('acme.yaml'), /^# yaml-language-server/, 'comments stay');
    assert.match(textOf('acme.yaml'), /\norder: stop\n/);

    const last = await send('acme-ag', '4');
    const byOldName = await send('ACME', '5');
    assert.equal(await send('acme-ag', '1', '--idempotency-key', 'k1'), first, 'the key is still known');
    queue = await openNow();
    try {
      for (const name of ['acme', 'acme-gmbh', 'acme-ag']) {
        const { messages } = await queue.ledger.list({ partner: name });
        assert.equal(messages.length, 5, name);
        assert.deepEqual([...new Set(messages.map((each) => each.partner))], ['acme-ag']);
        assert.deepEqual(await queue.ledger.backlog('outbound', name), { waiting: 4, suspended: 1 });
        const { sha256 } = messages[0] ?? assert.fail();
        assert.equal((await queue.ledger.list({ partner: name, sha256 })).messages.length, 1);
      }
      const { order, stop } = await work(queue, () => undefined);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual(order, [], 'the line stands behind the suspended message');
      await queue.flow.resume(first);
      await until(async () => order.length >= 2);
      await queue.flow.retry(delayed);
      await until(async () => order.length === 5);
      assert.deepEqual(order, [first, second, delayed, last, byOldName]);
      await stop();

      const [approved] = (await storeOf(queue)).approvedOf('acme-ag');
      assert.equal(
        approved?.thumbprint,
        world.own.certificate.thumbprint,
        'what was approved for the old name',
      );
      assert.equal(approved?.partner, 'acme-ag');

      const registry = await ClientRegistry.open({
        ...{ ...queue, folder: server.dataDir, log: createLog('silent', 'test'), now: Date.now },
      });
      await registry.change((document) => {
        document.clients.push({
          ...{ name: 'erp', createdAt: 0, pins: [] },
          grants: {
            ...{ verbs: ['send', 'read'], partners: ['acme'], mailboxes: [], senders: '*', identities: '*' },
            limits: { messages: 0, octets: 0, size: 0 },
          },
        });
      });
      const client = registry.byName('erp') ?? assert.fail();
      assert.ok(client.mayUsePartner('acme-ag'), 'what was granted for the old name');
      const record = (await queue.ledger.get(first)) ?? assert.fail();
      assert.ok(client.maySee(record));
      assert.equal(client.mayUsePartner('other'), false);
    } finally {
      await queue.close();
    }
  });

  it('rename never takes a name that is, or was, of another partner; a name may come back', async () => {
    await add('acme');
    await fine(
      ...['partners', 'add', 'globex', '--address', 'edi@globex.example', '--cert', world.partner.certFile],
    );
    await fine('partners', 'rename', 'acme', 'initech');
    for (const name of ['initech', 'INITECH', 'acme', 'not a name', '../x']) {
      const before = textOf('globex.yaml');
      const ran = await run('partners', 'rename', 'globex', name);
      assert.notEqual(ran.code, 0, name);
      assert.equal(textOf('globex.yaml'), before);
    }
    const taken = await run(
      'partners',
      'add',
      'acme',
      '--address',
      'a@b.example',
      '--cert',
      world.partner.certFile,
    );
    assert.match(taken.stderr, /is the former name of initech/);
    await fine('partners', 'rename', 'initech', 'acme');
    const [partner] = loadConfig(configFile).partners;
    assert.deepEqual([partner?.name, partner?.formerNames], ['acme', ['acme', 'initech']]);
  });

  it('remove refuses while mail waits; forced, the mail is suspended, and goes on when the partner is back', async () => {
    await add('acme');
    const text = textOf('acme.yaml');
    const id = await send('acme', 'waits');
    const refused = await run('partners', 'remove', 'acme');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /1 waiting[\s\S]*\[partner-busy\]/);
    assert.ok(existsSync(join(folder, 'partners/acme.yaml')));
    const forced = JSON.parse((await fine('partners', 'remove', 'acme', '--force', '--json')).stdout);
    assert.deepEqual([forced.waiting, forced.suspended], [1, 0]);
    assert.equal(existsSync(join(folder, 'partners/acme.yaml')), false);
    assert.ok(existsSync(join(folder, 'partners/acme.pem')), 'certificates are worth keeping');

    writeFileSync(join(folder, 'partners/acme.yaml'), text);
    const queue = await openNow();
    try {
      const gone = await work(queue, () => ({ suspend: 'partner-unknown' }));
      await until(async () => (await queue.ledger.get(id))?.reason === 'partner-unknown');
      await gone.stop();
      assert.match((await run('partners', 'remove', 'acme')).stderr, /1 suspended/);
      const { order, stop } = await work(queue, () => undefined);
      await fine('messages', 'resume', id);
      await until(async () => order.length === 1);
      await stop();
      const { length } = await queue.audit
        .list({ limit: 10 })
        .then((all) => all.filter(({ what }) => what === 'partner-remove'));
      assert.equal(length, 1);
    } finally {
      await queue.close();
    }
    await fine('partners', 'remove', 'acme');
    assert.deepEqual(loadConfig(configFile).partners, []);
  });
});
