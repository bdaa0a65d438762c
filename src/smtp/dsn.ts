/**
 * Delivery notifications that a client asks for: parameters of MAIL and RCPT (RFC 3461), kept as they were written, and
 * passed on to a server that offers DSN.
 */
import type { SMTPServerSession } from 'smtp-server';
import type { DsnRequest, Envelope } from '../queue/index.ts';

/** Parameters of a MAIL or RCPT command by name, in upper case. smtp-server decodes the values. */
export type SmtpParameters = ReadonlyMap<string, string>;

export function parametersOf(command: string): SmtpParameters {
  const words = command
    .slice(command.indexOf('>') + 1)
    .split(/\s+/)
    .filter(Boolean);
  return new Map(
    words.map((word) => {
      const [name = ''] = word.split('=', 1);
      return [name.toUpperCase(), word.slice(name.length + 1)];
    }),
  );
}

/** RFC 3461 section 4: printable ASCII, except that "+" and "=" are written as "+" and two hexadecimal digits. */
const xtext = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;
const longestEnvid = 100;
const longestOrcpt = 500;
const addressType = /^[A-Za-z0-9-]+$/;
const longestType = 64;

/** RFC 3461 section 4.4. */
export function isEnvid(value: string): boolean {
  return value.length <= longestEnvid && xtext.test(value) && isPrintable(value);
}

/** RFC 3461 section 4.2: the type of the address, and the address in xtext. */
export function isOrcpt(value: string): boolean {
  const end = value.indexOf(';');
  if (end < 0 || end > longestType || value.length > longestOrcpt) return false;
  const address = value.slice(end + 1);
  return addressType.test(value.slice(0, end)) && xtext.test(address) && isPrintable(address);
}

/** The decoded text must be printable ASCII too. */
function isPrintable(value: string): boolean {
  const codes = [...value.matchAll(/\+(..)/g)].map(([, hex = '']) => Number.parseInt(hex, 16));
  return codes.every((code) => code >= 0x20 && code <= 0x7e);
}

/** The request for one recipient. */
export interface RecipientDsn {
  notify?: string[];
  orcpt?: string;
}

/**
 * The whole request; undefined if the client asked for nothing.
 *
 * @param mail parameters of the MAIL command
 * @param recipients parameters of RCPT by address
 */
export function dsnOf(
  { envelope }: SMTPServerSession,
  mail: SmtpParameters,
  recipients: ReadonlyMap<string, RecipientDsn>,
): DsnRequest | undefined {
  const ret = envelope.dsn?.ret;
  const envid = mail.get('ENVID');
  const dsn: DsnRequest = {
    ...(ret === 'FULL' || ret === 'HDRS' ? { ret } : {}),
    ...(envid === undefined ? {} : { envid }),
    ...(recipients.size === 0 ? {} : { recipients: Object.fromEntries(recipients) }),
  };
  return Object.keys(dsn).length === 0 ? undefined : dsn;
}

/** Parameters as they are written after the address, each preceded by a space. */
export interface DsnParameters {
  mail: string;
  /** Parameters of RCPT by recipient. */
  recipients: ReadonlyMap<string, string>;
}

/**
 * Used when the client asks for nothing: report failures, and return no copy of a message that nobody here can read.
 */
const usual = { ret: 'HDRS', notify: ['FAILURE', 'DELAY'] } as const;
const notifications = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/;

/**
 * The parameters to send to a server for a message (RFC 3461 section 4). Values that the RFC does not allow are left
 * out.
 *
 * @param id of the message; a notification returns it if the client gave no ENVID
 * @param written how each recipient of the envelope is written to the server
 */
export function dsnParameters(
  { dsn = {}, to }: Envelope,
  id: string,
  written: (recipient: string) => string,
): DsnParameters {
  const envid = dsn.envid !== undefined && isEnvid(dsn.envid) ? dsn.envid : xtextOf(id);
  const ret = dsn.ret === 'FULL' ? 'FULL' : usual.ret;
  const recipients = new Map<string, string>();
  for (const recipient of to) {
    const asked = dsn.recipients?.[recipient] ?? {};
    const wanted = (asked.notify ?? usual.notify).join(',').toUpperCase();
    const notify = notifications.test(wanted) ? wanted : usual.notify.join(',');
    const own = /^[!-~]+$/.test(recipient) ? `rfc822;${xtextOf(recipient)}` : undefined;
    const orcpt = asked.orcpt !== undefined && isOrcpt(asked.orcpt) ? asked.orcpt : own;
    recipients.set(written(recipient), ` NOTIFY=${notify}${orcpt === undefined ? '' : ` ORCPT=${orcpt}`}`);
  }
  return { mail: ` RET=${ret} ENVID=${envid}`, recipients };
}

/** RFC 3461 section 4, for printable ASCII. */
function xtextOf(text: string): string {
  return text.replace(/[+=]/g, (char) => `+${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
