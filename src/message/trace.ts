/** The trace fields of a message that we hand on: Received (RFC 5321 section 4.4), and our own. */
import { createHmac } from 'node:crypto';
import type { HeaderBlock } from './headers.ts';

/** Marks a mail that has been here: in which of our mailboxes, or that we sent it to a partner. */
export const traceField = 'X-Sealpost-Trace';

/** Stands in for a mailbox in mail to partners. No mailbox can have this name. */
const partners = '(partners)';

/** RFC 5321, section 6.3: a server that counts hops must allow at least 100. */
const mostHops = 100;

/** The value of the field for a mailbox. */
export type Tracer = (mailbox: string) => string;

/**
 * Makes values that tell others nothing, so that two installations do not take each other's for their own.
 *
 * @param deriveKey gives the same key in all processes of the installation
 */
export function tracerOf(deriveKey: (purpose: string) => Buffer): Tracer {
  let key: Buffer | undefined;
  // Each mail needs the same few values. There are no more than mailboxes in the configuration.
  const known = new Map<string, string>();
  return (mailbox) => {
    let value = known.get(mailbox);
    if (value === undefined) {
      key ??= deriveKey('mail trace');
      value = createHmac('sha256', key).update(mailbox).digest('base64url').slice(0, 27);
      known.set(mailbox, value);
    }
    return value;
  };
}

/** The value of the field in mail to partners. */
export const sentTrace = (trace: Tracer): string => trace(partners);

/**
 * Why a mail goes round in circles: we have sent it to a partner before, it has been in this mailbox, or it has passed
 * more than 100 servers. Undefined if it does not. Anybody who has seen such a field can write it, but only gets their
 * own mail refused.
 *
 * @param mailbox where it arrives; undefined for a mail that is to leave
 */
export function loopOf(
  { fields }: Pick<HeaderBlock, 'fields'>,
  trace: Tracer,
  mailbox?: string,
): string | undefined {
  const key = traceField.toLowerCase();
  const traces = fields.filter((field) => field.key === key).map(({ value }) => value);
  if (traces.length > 0) {
    if (traces.includes(sentTrace(trace))) return 'it was sent to a partner from here before';
    if (mailbox !== undefined && traces.includes(trace(mailbox)))
      return 'it has been handed on from this mailbox before';
  }
  const hops = fields.filter((field) => field.key === 'received').length;
  return hops > mostHops ? `it has passed through more than ${mostHops} servers` : undefined;
}

/** The trace field of a message that we hand on (RFC 5321, section 4.4), and text that may stand in our fields. */

/** What is known about how a message came to us. */
export interface Arrival {
  id: string;
  /** `detail` of `smtp`: `client` (address), `helo`, `protocol`. */
  origin: { kind: string; detail: Readonly<Record<string, string | number>> };
  /** Milliseconds since the epoch. */
  receivedAt: number;
}

/**
 * The field Received, without its line end. The recipient is named only if there is just one, because recipients must
 * not learn of each other. Nor is the submitting program named: partners need not know the machines of our network.
 */
export function receivedField(
  { id, origin, receivedAt }: Arrival,
  hostname: string,
  recipients: readonly string[],
): string {
  const { kind, detail } = origin;
  const said = (name: string) => String(detail[name] ?? '');
  const [only, ...others] = recipients;
  const from = kind === 'smtp' ? `from ${host(said('helo'))} (${literal(said('client'))})\r\n ` : '';
  const protocol = /^[A-Z0-9]{1,16}$/.test(said('protocol')) ? said('protocol') : 'SMTP';
  const overSmtp = kind === 'smtp' || kind === 'submission';
  // there is no registered word for IMAP, so a comment says it
  const by = overSmtp ? `with ${protocol}` : `(over ${kind === 'imap' ? 'IMAP' : fieldWord(kind)})`;
  const to = only !== undefined && others.length === 0 && /^[!-~]+$/.test(only) ? `\r\n for <${only}>` : '';
  return `Received: ${from}by ${hostname} ${by}\r\n id ${fieldWord(id)}${to};\r\n ${mailDate(receivedAt)}`;
}

function host(helo: string): string {
  return /^(?:[A-Za-z0-9.-]{1,253}|\[[A-Za-z0-9.:]{1,60}\])$/.test(helo) ? helo : 'unknown';
}

function literal(address: string): string {
  if (!/^[0-9A-Fa-f.:]{2,45}$/.test(address)) return 'unknown';
  return address.includes(':') ? `[IPv6:${address}]` : `[${address}]`;
}

/** RFC 5322, section 3.3, in UTC. */
export function mailDate(at: number): string {
  return new Date(at).toUTCString().replace('GMT', '+0000');
}

/** Our own text in a field: visible ASCII, without characters that have a meaning there. */
export function fieldWord(text: string): string {
  return text.replace(/[^!#-'*-:<-[\]-~]/g, '_').slice(0, 300);
}
