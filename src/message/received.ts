/**
 * The trace field of a message that we hand on (RFC 5321, section 4.4), and the text that may stand in fields of ours.
 */

/** What is known of how a message came to us. */
export interface Arrival {
  id: string;
  /** `detail` of `smtp`: `client` (address), `helo`, `protocol`. */
  origin: { kind: string; detail: Readonly<Record<string, string | number>> };
  /** Milliseconds since the epoch. */
  receivedAt: number;
}

/**
 * The field Received, without its line end. The recipient is only named if there is one, because others must not learn
 * of each other. Who submitted a mail is not named either: partners need not know the machines of our network.
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
  // there is no registered word for IMAP: a comment says it
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

/** Text of ours in a field: visible ASCII without what has a meaning there. */
export function fieldWord(text: string): string {
  return text.replace(/[^!#-'*-:<-[\]-~]/g, '_').slice(0, 300);
}
