/**
 * Mail that Sealpost itself writes to a partner. It is submitted like any other, and marked as written by a program.
 */
import { randomUUID } from 'node:crypto';
import { daemonClient } from '../client/index.ts';
import type { Config, PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { OwnChange } from '../partner/index.ts';
import { Outgoing, PartnerBook, type SubmitParts, submit } from './submit.ts';

export interface OwnMail {
  from: string;
  to: readonly string[];
  subject: string;
  /** Lines end with LF. */
  body: string;
  at: Date;
  attachment?: { name: string; type: string; octets: Buffer };
}

/** The octets of a mail in plain text, with at most one attachment. */
export function ownMail({ from, to, subject, body, at, attachment }: OwnMail): Buffer {
  const boundary = `=_${randomUUID()}`;
  const text = [
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...body.split('\n'),
  ];
  const lines = [
    `From: <${from}>`,
    `To: ${to.map((each) => `<${each}>`).join(', ')}`,
    `Subject: ${subject.replace(/[^\x20-\x7e]/g, '?').slice(0, 900)}`,
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${from.slice(from.lastIndexOf('@') + 1)}>`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    ...(attachment === undefined
      ? text
      : [
          `Content-Type: multipart/mixed; boundary="${boundary}"`,
          '',
          `--${boundary}`,
          ...text,
          `--${boundary}`,
          `Content-Type: ${attachment.type}; name="${attachment.name}"`,
          `Content-Disposition: attachment; filename="${attachment.name}"`,
          'Content-Transfer-Encoding: base64',
          '',
          ...(attachment.octets.toString('base64').match(/.{1,76}/g) ?? []),
          `--${boundary}--`,
        ]),
  ];
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
}

/**
 * Sends alerts through the partner that the configuration names. Resolves with the id of the message. The same key
 * gives the same message. Errors: those of `submit`.
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
    return await submitOwn({ ...parts, partners }, { partner, from, to, octets, key, about: 'alerts' });
  };
}

/** The default text of a notice. */
export const noticeTemplate = `Subject: Our next certificate, from {from} on

This mail was written by a program. Nobody reads answers to it.

From {from} on, we sign our mail with another certificate. It is attached,
and this mail is signed with the one that you know.

  subject:  {subject}
  serial:   {serial}
  SHA-1:    {sha1}
  SHA-256:  {sha256}
  valid:    until {until}

Please add it to the certificates that you verify our mail with, and
encrypt your mail to us for it from {from} on. Until then, please go on
using the one that you have. Both will be read.
`;

/** Fills in a template: its subject, and its text. A placeholder that is unknown stays as it is. */
export function filledNotice(
  template: string,
  facts: Readonly<Record<string, string>>,
): { subject: string; body: string } {
  const filled = template
    .replace(/\r\n?/g, '\n')
    .replace(/\{(\w{1,20})\}/g, (all, name: string) =>
      Object.hasOwn(facts, name) ? (facts[name] ?? all) : all,
    );
  const [first = '', ...rest] = filled.split('\n');
  const subject = /^Subject: (.*)$/.exec(first)?.[1];
  if (subject === undefined) return { subject: 'Our next certificate', body: filled };
  return { subject, body: rest.join('\n').replace(/^\n/, '') };
}

export interface NoticeParts extends Omit<SubmitParts, 'partners'> {
  template: string | undefined;
}

/** Sends the notice of a next certificate to a partner, protected like all mail to it. Errors: those of `submit`. */
export function noticeMailer(config: Config, { template = noticeTemplate, ...parts }: NoticeParts) {
  const partners = new PartnerBook(config.partners);
  return async (
    partner: PartnerConfig,
    { identity, next, from: begins }: OwnChange,
    key: string,
  ): Promise<string> => {
    const { certificate } = next;
    const day = (date: Date) => date.toISOString().slice(0, 10);
    const facts = {
      ...{
        partner: partner.name,
        identity,
        subject: certificate.subject,
        serial: certificate.serialHex,
      },
      ...{ sha1: certificate.thumbprintSha1, sha256: certificate.thumbprint },
      ...{ from: day(begins), until: day(certificate.notAfter) },
    };
    const [own] = certificate.emails;
    const from = partner.from ?? own;
    if (from === undefined)
      throw new SealpostError('address-invalid', `there is no sender for a notice to ${partner.name}`, {
        hint: 'set from of the partner',
      });
    const attachment = {
      ...{ name: `${identity}-${day(begins)}.cer`, type: 'application/pkix-cert' },
      octets: certificate.der,
    };
    const { noticesTo: to } = partner;
    const octets = ownMail({ ...filledNotice(template, facts), from, to, at: parts.now(), attachment });
    return await submitOwn(
      { ...parts, partners },
      { partner, from, to, octets, key, about: 'next certificate' },
    );
  };
}

/** Submits mail of our own. Resolves with its id. The same key gives the same message. */
async function submitOwn(
  parts: SubmitParts,
  { partner, from, to, octets, key, about }: OwnSubmission,
): Promise<string> {
  try {
    const [submitted] = await submit(parts, {
      client: daemonClient,
      to: { partner: partner.name, recipients: [...to] },
      outgoing: Outgoing.mail(() => [octets], about),
      origin: { kind: 'daemon', detail: { about } },
      from,
      idempotencyKey: key,
    });
    return submitted?.id ?? '';
  } catch (error) {
    // a process sent it before, but ended before it could record that; the text now has a different date
    if (error instanceof SealpostError && error.code === 'idempotency-conflict') return 'as before';
    throw error;
  }
}

interface OwnSubmission {
  partner: PartnerConfig;
  from: string;
  to: readonly string[];
  octets: Buffer;
  key: string;
  about: string;
}
