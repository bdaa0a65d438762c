/** Receives messages over SMTP and from IMAP mailboxes, and takes what programs submit. Holds no keys. */
import { readSecret } from '../src/config/index.ts';
import { type RoleContext, runRole } from '../src/daemon/index.ts';
import { roomLog } from '../src/log.ts';
import { tracerOf } from '../src/message/index.ts';
import type { SubmissionDoor } from '../src/smtp/index.ts';

void runRole('receive', async ({ config, log, queue, takeOver }) => {
  const door = await openSubmission({ config, log, queue });
  const smtp = await receiverOf({ config, log, queue, takeOver }, door?.submission);
  const pollers = await pollersOf({ config, log, queue });
  await queue.routes.follow();
  const listening = (await smtp?.listen()) ?? [];
  for (const poller of pollers) poller.start();
  return {
    facts: { smtp: listening.map(({ host, port }) => `${host}:${port}`), imap: pollers.length },
    troubles: () =>
      pollers.flatMap((poller) => {
        const { failingSince, lastError } = poller.status();
        const { mailbox } = poller;
        if (failingSince === null || lastError === null) return [];
        return [{ what: `mailbox ${mailbox}`, since: failingSince, why: lastError.message, mailbox }];
      }),
    async drain(timeoutMs, handover) {
      door?.stop();
      await Promise.all([
        smtp?.close(timeoutMs, handover),
        ...pollers.map((poller) => poller.stop(timeoutMs)),
      ]);
    },
  };
});

/**
 * Loaded only if there is something to listen on: the libraries of both ways in are as large as the rest of this
 * process.
 */
async function receiverOf(
  { config: { smtp, mailboxes }, log, queue, takeOver }: Omit<RoleContext, 'isBeside'>,
  submission: SubmissionDoor | undefined,
) {
  if (smtp.listen.length === 0) return undefined;
  const { createSmtpReceiver } = await import('../src/smtp/index.ts');
  const { intake, deriveKey, routes } = queue;
  const trace = tracerOf(deriveKey);
  const isPaused = (mailbox: string) => routes.isPaused('mailbox', mailbox);
  return await createSmtpReceiver({
    ...{ config: smtp, mailboxes, intake, takeOver, submission, trace, isPaused },
    log: roomLog(log, 'smtp'),
  });
}

/** The clients, and the way to partners. Nothing is loaded without a listener for them. */
async function openSubmission({ config, log, queue }: Pick<RoleContext, 'config' | 'log' | 'queue'>) {
  if (!config.smtp.listen.some(({ kind }) => kind === 'submission')) return undefined;
  const { openSubmissionDoor } = await import('../src/pipeline/index.ts');
  const { loadClients } = await import('../src/client/index.ts');
  const { ClientRegistry, Rates } = await loadClients();
  const registry = await ClientRegistry.open({ ...queue, folder: config.dataDir, log, now: Date.now });
  registry.start();
  const { intake } = queue;
  const { partners } = config;
  const rates = new Rates();
  const submission = await openSubmissionDoor({ registry, partners, intake, rates, now: () => new Date() });
  return { submission, stop: () => registry.stop() };
}

/** One for each mailbox that is fetched. Nothing is loaded if there is none. */
async function pollersOf({
  config: { mailboxes },
  log,
  queue,
}: Pick<RoleContext, 'config' | 'log' | 'queue'>) {
  if (!mailboxes.some(({ imap }) => imap)) return [];
  const { attendPollers, createCheckpoints, createImapPoller } = await import('../src/imap/index.ts');
  const { intake, redis, prefix, routes } = queue;
  const { createRefreshTokens, Tokens } = await import('../src/oauth/index.ts');
  const tokens = new Tokens({ readSecret, refreshTokens: createRefreshTokens(queue) });
  const checkpoint = createCheckpoints(redis, prefix);
  const pollers = mailboxes.flatMap(({ name, imap }) => {
    if (imap === undefined) return [];
    const poller = createImapPoller({
      mailbox: name,
      config: imap,
      intake,
      checkpoint,
      log: roomLog(log, 'imap'),
      readSecret,
      tokens,
      isPaused: () => routes.isPaused('mailbox', name),
    });
    return [Object.assign(poller, { mailbox: name })];
  });
  const attended = pollers.map((poller) => ({ mailbox: poller.mailbox, poller }));
  attendPollers(attended, routes, (err) => log.debug({ err }, 'how mailboxes are read was not written'));
  return pollers;
}
