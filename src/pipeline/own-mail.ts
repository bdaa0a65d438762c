/** Mail that Sealpost writes on its own to a partner: it is submitted as any other, and marked as written by a program. */
import { randomUUID } from 'node:crypto';
import { daemonClient } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { Outgoing, PartnerBook, type SubmitParts, submit } from './submit.ts';

export interface OwnMail {
  from: string;
  to: readonly string[];
  subject: string;
  /** Lines end with LF. */
  body: string;
  at: Date;
}

/** The octets of a mail in plain text. */
export function ownMail({ from, to, subject, body, at }: OwnMail): Buffer {
  const lines = [
    `From: <${from}>`,
    `To: ${to.map((each) => `<${each}>`).join(', ')}`,
    `Subject: ${subject.replace(/[^\x20-\x7e]/g, '?').slice(0, 900)}`,
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${from.slice(from.lastIndexOf('@') + 1)}>`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...body.split('\n'),
  ];
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
}

/**
 * Sends alerts by the partner that the configuration names. Resolves with the id of the message; the same key is the same
 * message. Errors: those of `submit`.
 */
export function alertMailer(config: Config, parts: Omit<SubmitParts, 'partners'>) {
  const partners = new PartnerBook(config.partners);
  return async ({ subject, body }: { subject: string; body: string }, key: string): Promise<string> => {
    const { mail } = config.alerts;
    const partner = config.partners.find(({ name }) => name.toLowerCase() === mail?.partner.toLowerCase());
    if (mail === undefined || partner === undefined)
      throw new SealpostError('partner-unknown', 'alerts.mail names no partner');
    const to =
      mail.to ?? partner.addresses.filter((each) => each.includes('@') && !each.startsWith('@')).slice(0, 1);
    const from = mail.from ?? partner.from;
    if (from === undefined || to.length === 0)
      throw new SealpostError('address-invalid', 'mail of alerts has no sender or recipient', {
        hint: 'write alerts.mail.from and alerts.mail.to',
      });
    const octets = ownMail({ from, to, subject, body, at: parts.now() });
    try {
      const [submitted] = await submit(
        { ...parts, partners },
        {
          client: daemonClient,
          to: { partner: partner.name, recipients: [...to] },
          outgoing: Outgoing.mail(() => [octets], 'the alerts'),
          origin: { kind: 'daemon', detail: { about: 'alerts' } },
          from,
          idempotencyKey: key,
        },
      );
      return submitted?.id ?? '';
    } catch (error) {
      // It was sent before, by a process that ended before it could note that; its text has another date.
      if (error instanceof SealpostError && error.code === 'idempotency-conflict') return 'as before';
      throw error;
    }
  };
}
