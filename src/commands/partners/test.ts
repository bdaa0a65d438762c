import { randomUUID } from 'node:crypto';
import { Command } from 'commander';
import { CertStore, type CountingCertificates, loadCounting, loadProtecting } from '../../certstore/index.ts';
import { operatorClient } from '../../client/index.ts';
import {
  type Config,
  loadConfig,
  loadDkimKeys,
  loadKeys,
  ownName,
  type PartnerConfig,
  readSecret,
} from '../../config/index.ts';
import { SealpostError } from '../../errors.ts';
import { createLog } from '../../log.ts';
import { loadOpensAt, RecipientRevocation, Shown } from '../../partner/index.ts';
import { sendStep } from '../../pipeline/index.ts';
import { PartnerBook } from '../../pipeline/submit.ts';
import type { OutboundJob, Outcome, QueueRoom } from '../../queue/index.ts';
import { sealedValues } from '../../redis/index.ts';
import { openSender, type Trace } from '../../smtp/index.ts';
import { openNetwork } from '../network.ts';
import { configOption } from '../options.ts';
import { printError, printJson, printLine } from '../output.ts';

interface TestOptions {
  config: string;
  to?: string;
  json?: boolean;
}

export function testCommand(): Command {
  return new Command('test')
    .description(
      'send a mail that is marked as a test to a partner, signed and encrypted as any other, and show the dialogue with its server; exit code 1 if it was not taken',
    )
    .argument('<name>')
    .option('--to <address>', 'another address of the partner than its first')
    .addOption(configOption())
    .option('--json', 'print outcome and dialogue as JSON')
    .action(test);
}

async function test(name: string, { config: file, to, json }: TestOptions): Promise<void> {
  const config = await loadConfig(file);
  const recipients = to === undefined ? undefined : [to];
  const [addressed] = new PartnerBook(config.partners).resolve(operatorClient, { partner: name, recipients });
  if (addressed === undefined) throw new SealpostError('partner-unknown', `there is no partner ${name}`);
  const { partner } = addressed;
  const dialogue: string[] = [];
  let over = false;
  const trace: Trace = (direction, line) => {
    // the reply to QUIT may come late
    if (over) return;
    dialogue.push(`${direction} ${line}`);
    if (!json) printLine(`${direction} ${line}`);
  };
  const outcome = await sendTest(config, partner, addressed.recipients, trace);
  over = true;
  const sent = 'done' in outcome;
  const facts = outcome.facts ?? {};
  if (json) printJson({ partner: partner.name, to: addressed.recipients, sent, facts, dialogue }, 2);
  else if (sent) printLine(`sent to ${addressed.recipients.join(', ')}`);
  else {
    const code = 'retry' in outcome ? outcome.retry : outcome.suspend;
    const [said = ''] = [facts.reply, facts.message].filter((text) => typeof text === 'string');
    printError(`sealpost: not sent to ${addressed.recipients.join(', ')}: ${said} [${code}]`);
  }
  if (!sent) process.exitCode = 1;
}

/** The step of the queue, with a message that no queue has. */
async function sendTest(
  config: Config,
  partner: PartnerConfig,
  to: string[],
  trace: Trace,
): Promise<Outcome> {
  const { from } = partner;
  if (from === undefined)
    throw new SealpostError('address-invalid', `partner ${partner.name} has no sender for a test`, {
      hint: 'set from of the partner',
    });
  const id = randomUUID();
  const mail = Buffer.from(testMail({ id, from, to, now: new Date() }));
  const network = await openNetwork(config);
  const parts = { route: partner.route, readSecret, name: ownName(config), trace, ...network.parts };
  const sender = openSender(parts);
  const [keys, { protecting }] = await Promise.all([loadKeys(config), loadProtecting()]);
  const { queue } = network;
  if (queue === undefined)
    printError('sealpost: the daemon does not run: only the certificates of the configuration are known');
  const counting = await countingCertificates(config, keys, queue);
  const revocation = new RecipientRevocation({
    ...{ trust: config.trust, keys, now: Date.now, log: createLog('silent', 'command') },
    // what others know of it is not asked for: the answer is to be of now
    values: { get: async () => undefined, put: async () => {} },
    refused: () => counting.refused,
  });
  // it leaves now, whatever the service windows say
  const open = { partner: { ...partner, windows: undefined }, sender };
  const job: OutboundJob = {
    direction: 'outbound',
    id,
    partner: partner.name,
    envelope: { from, to },
    origin: { kind: 'command', detail: {} },
    messageId: `<${id}@${from.split('@').at(-1)}>`,
    receivedAt: Date.now(),
    octets: { kind: 'inline', id, octets: mail.length, sha256: '' },
  };
  try {
    const step = await sendStep({
      spool: {
        open: tooSmall,
        draft: tooSmall,
        remove: async () => {},
      },
      flow: {
        fetch: async () => ({ state: 'queued', octets: [mail] }),
        sent: async () => {},
      },
      route: () => open,
      protection: protecting({
        ...{ counting, now: Date.now },
        shown: queue && new Shown(sealedValues(queue, 'shown'), Date.now),
        statesOf: async (...of) => await revocation.statesOf(...of, { waits: true }),
      }),
      limits: config.limits,
      hostname: ownName(config),
      // a test that comes back has shown that mail arrives
      isOwn: () => true,
      trace: () => '',
      dkim: await loadDkimKeys(config),
      now: Date.now,
      opensAt: await loadOpensAt(),
    });
    return await step(job, { signal: new AbortController().signal, end: undefined });
  } finally {
    sender.close();
    await network.close();
  }
}

/** The certificates that count for mail. Errors: those of the store, where the outbound role would say the same. */
async function countingCertificates(
  config: Config,
  keys: Awaited<ReturnType<typeof loadKeys>>,
  queue: QueueRoom | undefined,
): Promise<CountingCertificates> {
  const { CountingCertificates, nothingDecided } = await loadCounting();
  if (queue === undefined) return new CountingCertificates(nothingDecided, keys);
  const log = createLog('silent', 'command');
  const store = await CertStore.open({ ...queue, log, folder: config.dataDir, now: Date.now });
  if (store.trouble) throw store.trouble;
  return new CountingCertificates(store, keys);
}

/** For what only large messages need. */
function tooSmall(): never {
  throw new SealpostError('spool-missing', 'a test is small');
}

function testMail({ id, from, to, now }: { id: string; from: string; to: string[]; now: Date }): string {
  return [
    `From: <${from}>`,
    `To: <${to.join('>, <')}>`,
    'Subject: Sealpost test, please ignore',
    `Date: ${now.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${id}@${from.split('@').at(-1)}>`,
    'Auto-Submitted: auto-generated',
    'Sealpost-Test: true',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'This mail tests whether mail from us reaches you, and whether you can read it.',
    'It contains no business data. You need not answer it.',
    '',
  ].join('\r\n');
}
