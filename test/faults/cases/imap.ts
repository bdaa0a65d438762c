/** R14, R15: a real Dovecot behind a proxy that cuts connections, and one that renumbers its messages. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dovecot, startDovecot } from '../../support/dovecot.ts';
import type { FaultCase, Run } from '../support/case.ts';
import type { Accepted, Mail } from '../support/load.ts';
import { folderSink } from '../support/oracle.ts';
import { TcpProxy } from '../support/proxy.ts';
import { makeMail, type Rig } from '../support/rig.ts';

const skip = () => (existsSync('/usr/sbin/dovecot') ? undefined : 'dovecot is not installed');

async function imapRig(run: Run, action: string) {
  const dovecot = await startDovecot();
  run.after(() => dovecot.stop());
  const proxy = await TcpProxy.start({ port: dovecot.tlsPort });
  run.after(() => proxy.stop());
  const imap = {
    host: '127.0.0.1',
    port: proxy.port,
    ca: dovecot.tls.cert,
    user: dovecot.user,
    password: { file: run.world.file(`imap${proxy.port}.password`, dovecot.password) },
    action,
    pollInterval: '1s',
  };
  const inbox = join(run.world.folder, `imap${proxy.port}`);
  const mailboxes = [{ name: 'fetched', imap, destinations: [{ type: 'directory', path: inbox }] }];
  return { dovecot, proxy, inbox, config: { mailboxes } };
}

async function append(dovecot: Dovecot, mails: Mail[]): Promise<void> {
  const client = await dovecot.client();
  for (const { octets } of mails) await client.append('INBOX', octets);
  await client.logout();
}

/** What the ledger has of these mails; waits until it has all, for a minute without progress at most. */
async function fetched(rig: Rig, mails: Mail[]): Promise<Accepted[]> {
  let found: Accepted[] = [];
  for (let patience = 60; patience > 0; patience--) {
    const { messages } = await rig.queue.ledger.list({ mailbox: 'fetched', limit: 2000 });
    const ids = new Map(messages.map(({ id, messageId }) => [messageId?.replace(/[<>]/g, ''), id]));
    const now = mails.flatMap(({ messageId }) => {
      const id = ids.get(messageId);
      return id === undefined ? [] : [{ id, messageId, at: Date.now() }];
    });
    if (now.length > found.length) patience = 60;
    found = now;
    if (found.length === mails.length) break;
    await sleep(1000);
  }
  return found;
}

export const imapCases: FaultCase[] = [
  {
    id: 'R14-imap-cut',
    title: 'IMAP cut in the middle of fetches, and the poller killed',
    skip,
    async run(run) {
      const { dovecot, proxy, inbox, config } = await imapRig(run, 'move');
      const mails = Array.from({ length: run.short ? 10 : 40 }, () => makeMail(run.world, 100_000));
      const rig = await run.rig({ config });
      await append(dovecot, mails);
      for (let round = 0; round < 6; round++) {
        proxy.cutAfter = 100_000 + Math.random() * 500_000;
        await sleep(1000 + Math.random() * 1000);
        if (round % 3 === 2) rig.killRole('receive');
      }
      proxy.heal();
      const accepted = await fetched(rig, mails);
      const failures =
        accepted.length === mails.length ? [] : [`${mails.length - accepted.length} never fetched`];
      const findings = await rig.findings([{ accepted, sent: mails.length }], {
        sink: () => folderSink(inbox),
        failures,
        notes: [`connections cut: ${proxy.cuts}`],
      });
      const left = await leftIn(dovecot);
      if (left > 0) findings.failures.push(`${left} are still in the folder`);
      return findings;
    },
  },
  {
    id: 'R15-uidvalidity',
    title: 'UIDVALIDITY changes and all UIDs are used again; nothing is handed off twice, nothing is missed',
    skip,
    async run(run) {
      const { dovecot, inbox, config } = await imapRig(run, 'seen');
      const [first, second] = [0, 1].map(() => Array.from({ length: 10 }, () => makeMail(run.world)));
      if (!first || !second) throw new Error('no mails');
      const rig = await run.rig({ config });
      await append(dovecot, first);
      const before = await fetched(rig, first);
      await sleep(1500);
      const client = await dovecot.client();
      await client.mailboxOpen('INBOX');
      await client.messageFlagsRemove('1:*', ['\\Seen']);
      await client.logout();
      await dovecot.kill();
      for (const name of readdirSync(dovecot.maildir))
        if (name.startsWith('dovecot')) rmSync(join(dovecot.maildir, name), { recursive: true });
      // UIDVALIDITY is the time in seconds at which Dovecot creates it.
      await sleep(1100);
      await dovecot.start();
      await append(dovecot, second);
      const after = await fetched(rig, second);
      const changed = rig.daemon.log().includes('UIDVALIDITY has changed');
      const missed = first.length + second.length - before.length - after.length;
      const findings = await rig.findings(
        [{ accepted: [...before, ...after], sent: first.length + second.length }],
        {
          sink: () => folderSink(inbox),
          failures: [
            ...(changed ? [] : ['UIDVALIDITY did not change']),
            ...(missed > 0 ? [`${missed} never fetched`] : []),
          ],
        },
      );
      let duplicates = 0;
      for (const { id } of before) {
        const record = await rig.queue.ledger.get(id);
        if (record?.events.some(({ type }) => type === 'duplicate')) duplicates++;
      }
      findings.notes.push(`${duplicates} of ${before.length} were read again and known by their octets`);
      return findings;
    },
  },
];

async function leftIn(dovecot: Dovecot): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const client = await dovecot.client();
    const { messages = 0 } = (await client.status('INBOX', { messages: true })) || {};
    await client.logout();
    if (messages === 0 || attempt === 40) return messages;
    await sleep(500);
  }
}
