/** Settings of mailboxes and partners for cases, and load on the way out. */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { commitOne } from '../../support/queue.ts';
import type { World } from '../../support/world.ts';
import type { Accepted } from './load.ts';
import type { Rig } from './rig.ts';

/** One mailbox whose messages go to a webhook. */
export function webhookMailbox(world: World, url: string, more: Record<string, unknown> = {}) {
  const secret = { file: world.file('hook.secret', 'a secret of the web hook') };
  const hook = { type: 'webhook', url, secret, allowPrivate: true, timeout: '2s', ...more };
  return { mailboxes: [{ name: 'orders', addresses: ['orders@own.example'], destinations: [hook] }] };
}

/** A partner on a loopback port. */
export function outboundPartner(world: World, port: number) {
  const { partner } = world;
  return {
    partners: [
      {
        name: 'partner',
        addresses: [partner.email],
        certificates: [partner.certFile],
        identity: 'own',
        from: 'orders@own.example',
        route: { host: '127.0.0.1', port, tls: 'none' },
      },
    ],
  };
}

export interface OutboundLoad {
  accepted: Accepted[];
  sent: number;
  done(): Promise<void>;
  finish(): Promise<void>;
}

/** Puts messages on the outbound queue one by one, as `sealpost send` does. */
export function outboundLoad(
  { queue }: Rig,
  { count = Number.POSITIVE_INFINITY, pace = 0, from = 'orders@own.example' } = {},
): OutboundLoad {
  let finishing = false;
  const load: OutboundLoad = {
    accepted: [],
    sent: 0,
    done: () => running,
    async finish() {
      finishing = true;
      await running;
    },
  };
  const sendAll = async () => {
    while (!finishing && load.sent < count) {
      const messageId = `out.${randomBytes(8).toString('hex')}@own.example`;
      const header = `From: <orders@own.example>\r\nTo: <edi@partner.example>\r\nSubject: out\r\nMessage-ID: <${messageId}>\r\nDate: Tue, 06 Jan 2026 10:00:00 +0000\r\n`;
      const text = `${header}MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nsealing wax ${load.sent}\r\n`;
      load.sent++;
      const writer = queue.intake.begin();
      await writer.write(Buffer.from(text));
      const { id } = await commitOne(queue, writer, {
        partner: 'partner',
        origin: { kind: 'command', detail: {} },
        envelope: { from, to: ['edi@partner.example'] },
        messageId,
      });
      load.accepted.push({ id, messageId, at: Date.now() });
      await sleep(pace);
    }
  };
  const running = sendAll();
  return load;
}
