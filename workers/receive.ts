/** Receives messages over SMTP and from IMAP mailboxes. Holds no keys. */
import { readSecret } from '../src/config/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { createCheckpoints, createImapPoller } from '../src/imap/index.ts';
import { createSmtpReceiver } from '../src/smtp/index.ts';

await runRole('receive', async ({ config, log, queue, takeOver }) => {
  const { intake } = queue;
  const smtp = await createSmtpReceiver({
    config: config.smtp,
    mailboxes: config.mailboxes,
    intake,
    log,
    takeOver,
  });
  const checkpoint = createCheckpoints(queue.redis, queue.prefix);
  const pollers = config.mailboxes.flatMap(({ name, imap }) => {
    if (imap === undefined) return [];
    const poller = createImapPoller({ mailbox: name, config: imap, intake, checkpoint, log, readSecret });
    return [Object.assign(poller, { mailbox: name })];
  });
  const listening = config.smtp.listen.length > 0 ? await smtp.listen() : [];
  for (const poller of pollers) poller.start();
  return {
    facts: { smtp: listening.map(({ host, port }) => `${host}:${port}`), imap: pollers.length },
    troubles: () =>
      pollers.flatMap((poller) => {
        const { failingSince, lastError } = poller.status();
        const { mailbox } = poller;
        if (failingSince === null || lastError === null) return [];
        return [{ what: `mailbox ${mailbox}`, since: failingSince, why: lastError.message }];
      }),
    async drain(timeoutMs, handover) {
      await Promise.all([
        smtp.close(timeoutMs, handover),
        ...pollers.map((poller) => poller.stop(timeoutMs)),
      ]);
    },
  };
});
