/**
 * The main job in a minute, on loopback, with throw-away keys. A partner's encrypted mail comes in over SMTP (and over
 * IMAP if Dovecot is installed), is stored, decrypted and handed off. A mail goes out signed and encrypted, and the
 * partner reads it.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { loadConfig } from '../config/index.ts';
import { loadSupervisor } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import { type DemoMailbox, startDemoMailbox } from './demo/dovecot.ts';
import { makeDemoKeys } from './demo/keys.ts';
import { makeMail, type PartnerFiles, readMail } from './demo/mail.ts';
import { type PartnerServer, sendRaw, startPartnerServer } from './demo/partner.ts';
import { Steps } from './demo/steps.ts';
import { outgoing } from './outgoing.ts';
import { submitToDaemon } from './send.ts';

const own = 'orders@sealpost.example';
const partner = 'edi@partner.example';

const order = [
  'Content-Type: text/xml; charset=utf-8',
  'Content-Description: body',
  '',
  '<order number="4711"><item quantity="12">Sealing wax, red</item></order>',
  '',
].join('\r\n');

const confirmation = 'Order 4711 is confirmed.';

interface DemoWorld {
  folder: string;
  files: PartnerFiles;
  inbox: string;
  configFile: string;
  partnerServer: PartnerServer;
  mailbox: DemoMailbox | undefined;
}

async function prepare(steps: Steps): Promise<DemoWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-demo-'));
  const keys = makeDemoKeys(folder, { own, partner }, new Date());
  const inbox = join(folder, 'delivered');
  mkdirSync(inbox);
  const partnerServer = await startPartnerServer();
  const mailbox = await startDemoMailbox(join(folder, 'dovecot'), own);
  const destinations = [{ type: 'directory', path: inbox }];
  const config = {
    dataDir: join(folder, 'data'),
    smtp: { listen: [{ host: '127.0.0.1', port: 0 }], hostname: 'sealpost.example', greetingDelay: '0ms' },
    identities: [{ name: 'own', certificate: keys.own.cert, key: keys.own.key }],
    trust: { anchors: [keys.anchor] },
    mailboxes: [
      { name: 'orders', addresses: [own], require: ['encrypted', 'signed'], destinations },
      ...(mailbox ? [{ name: 'orders-imap', imap: mailbox.imap, require: ['encrypted'], destinations }] : []),
    ],
    partners: [
      {
        name: 'partner',
        addresses: [partner],
        certificates: [keys.partner.cert],
        identity: 'own',
        from: own,
        route: { host: '127.0.0.1', port: partnerServer.port, tls: 'none' },
      },
    ],
    workers: { decrypt: 1, outbound: 1 },
    log: { level: 'warn' },
  };
  const configFile = join(folder, 'sealpost.yaml');
  writeFileSync(configFile, stringify(config));
  const files = { folder, ...keys.partner, anchor: keys.anchor, recipient: keys.own.cert };
  steps.step('keys for a test authority, for us and for the partner; a configuration of both');
  steps.fact('folder', folder);
  steps.fact(
    'imap',
    mailbox ? `a private Dovecot for ${own}` : 'no Dovecot on this machine: this part is left out',
  );
  return { folder, files, inbox, configFile, partnerServer, mailbox };
}

/** Waits for a new message in the inbox. */
async function nextDelivery(
  inbox: string,
  seen: Set<string>,
): Promise<{ folder: string; verdict: Record<string, unknown> }> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline) {
    const name = readdirSync(inbox).find((each) => !each.startsWith('.') && !seen.has(each));
    if (name !== undefined) {
      seen.add(name);
      const folder = join(inbox, name);
      return { folder, verdict: JSON.parse(readFileSync(join(folder, 'verdict.json'), 'utf8')) };
    }
    await sleep(20);
  }
  throw new SealpostError('internal', 'no message was handed off within 30 seconds', {
    hint: 'the log lines above say why; sealpost demo --keep keeps the folder',
  });
}

function showDelivery(steps: Steps, delivery: { folder: string; verdict: Record<string, unknown> }): void {
  const { verdict, folder } = delivery;
  steps.fact('handed off', `${folder}/: ${readdirSync(folder).join(', ')}`);
  for (const name of ['status', 'encrypted', 'signature', 'integrity'])
    steps.fact(name, String(verdict[name]));
  const layers = Array.isArray(verdict.layers) ? verdict.layers.map((layer) => layer.type) : [];
  steps.fact('layers', layers.join(' > '));
}

async function inbound(steps: Steps, world: DemoWorld, smtpPort: number): Promise<void> {
  const seen = new Set<string>();
  const header = (number: number) => ({
    From: `Partner <${partner}>`,
    To: `<${own}>`,
    Subject: `Order 4711 (${number})`,
    'Message-ID': `<order-${number}-${Date.now()}@partner.example>`,
    Date: new Date().toUTCString().replace('GMT', '+0000'),
  });
  const first = makeMail(world.files, order, header(1));
  steps.step(`the partner signs and encrypts an order with ${first.by} and sends it over SMTP`);
  steps.fact('reply', await sendRaw(smtpPort, partner, own, first.mail));
  showDelivery(steps, await nextDelivery(world.inbox, seen));

  if (world.mailbox) {
    const second = makeMail(world.files, order.replace('4711', '4712'), header(2));
    steps.step('another one arrives in the IMAP mailbox; the poller fetches it');
    await world.mailbox.append(second.mail);
    showDelivery(steps, await nextDelivery(world.inbox, seen));
    steps.fact('mailbox', `moved to ${(await world.mailbox.folders()).join(', ')}`);
  }
}

async function outbound(steps: Steps, world: DemoWorld, redisUrl: string | undefined): Promise<void> {
  const config = await loadConfig(world.configFile);
  steps.step('a file of ours goes out: signed with our key, encrypted for the partner');
  const file = join(world.folder, 'confirmation.txt');
  writeFileSync(file, confirmation);
  const withRedis =
    redisUrl === undefined ? config : { ...config, redis: { ...config.redis, url: redisUrl } };
  const id = await submitToDaemon(withRedis, 'partner', outgoing(file, {}));
  steps.fact('queued', id);
  const received = await world.partnerServer.next();
  steps.fact('arrived', `${received.mail.length} octets from ${received.from} for ${received.to.join(', ')}`);
  const read = readMail(world.files, received.mail);
  steps.fact('partner reads', `with ${read.by}; signature ${read.signature}`);
  const [header = '', ...body] = read.text.split(/\r?\n\r?\n/);
  steps.fact('file', /filename="(.*)"/.exec(header)?.[1] ?? 'without a name');
  steps.fact('content', JSON.stringify(Buffer.from(body.join(''), 'base64').toString()));
}

async function runDemo(keep: boolean): Promise<void> {
  const steps = new Steps();
  const world = await prepare(steps);
  const config = await loadConfig(world.configFile);
  const log = createLog('warn', 'demo');
  const roles = ['receive', 'decrypt', 'handoff', 'outbound'] as const;
  const { Supervisor } = await loadSupervisor();
  const supervisor = new Supervisor({ configFile: world.configFile, config, roles, log });
  const stopOnSignal = () => void supervisor.force().then(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stopOnSignal);
  try {
    steps.step('the daemon starts: a private Redis (fsync always) and one process for each role');
    const facts = await supervisor.start();
    const [address = ''] = [facts.receive?.smtp ?? []].flat();
    for (const { role, pid } of supervisor.pids)
      steps.fact(role, `process ${pid}${role === 'receive' ? `, SMTP on ${address}` : ''}`);
    await inbound(steps, world, Number(String(address).split(':').at(-1)));
    await outbound(steps, world, supervisor.redisUrl);
    steps.step('the daemon drains and stops');
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stopOnSignal);
    await supervisor.stop();
    await world.mailbox?.stop();
    await world.partnerServer.close();
    if (!keep) rmSync(world.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
  steps.end('that was the main job, end to end');
}

export function demoCommand(): Command {
  return new Command('demo')
    .option('--keep', 'keep the temporary folder')
    .action(async (options: { keep?: boolean }) => runDemo(options.keep ?? false));
}
