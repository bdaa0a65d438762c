/** What a client asks to be told of the delivery: parameters of MAIL and RCPT (RFC 3461), kept as they were written. */
import type { SMTPServerSession } from 'smtp-server';
import type { DsnRequest } from '../queue/index.ts';

/** Parameters of a MAIL or RCPT command, by name in upper case. smtp-server decodes what it passes on. */
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

/** RFC 3461 section 4: printable ASCII but "+" and "=", which are written as "+" and two hexadecimal digits. */
const xtext = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;
const longestEnvid = 100;
const longestOrcpt = 500;

/** RFC 3461 section 4.4. */
export function isEnvid(value: string): boolean {
  return value.length <= longestEnvid && xtext.test(value) && isPrintable(value);
}

/** RFC 3461 section 4.2: the type of the address, and the address in xtext. */
export function isOrcpt(value: string): boolean {
  const [, address] = /^[A-Za-z0-9-]{1,64};(.+)$/.exec(value) ?? [];
  return address !== undefined && value.length <= longestOrcpt && xtext.test(address) && isPrintable(address);
}

/** What it stands for, too, is printable ASCII. */
function isPrintable(value: string): boolean {
  const codes = [...value.matchAll(/\+(..)/g)].map(([, hex = '']) => Number.parseInt(hex, 16));
  return codes.every((code) => code >= 0x20 && code <= 0x7e);
}

/** Of one recipient. */
export interface RecipientDsn {
  notify?: string[];
  orcpt?: string;
}

/**
 * The whole request; undefined if nothing was asked for.
 *
 * @param mail parameters of the MAIL command
 * @param recipients by address
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
