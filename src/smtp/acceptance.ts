/**
 * What a listener is for: mail for our mailboxes (`mailboxes.ts`), or programs' mail for partners (`submission.ts`).
 */
import type { SMTPServerSession } from 'smtp-server';
import type { SealpostError } from '../errors.ts';
import type { HeaderBlock } from '../message/index.ts';
import type { IntakeResult } from '../queue/index.ts';
import type { SpoolWriter } from '../spool/index.ts';
import type { Connection } from './connection.ts';
import type { Reply } from './replies.ts';

/** A transaction for which the client has said DATA. */
export interface Arriving {
  smtp: SMTPServerSession;
  connection: Connection;
  /** Envelope sender, '' if empty. */
  from: string;
  /** Each accepted recipient as the client wrote it, with what `recipient` returned for it. */
  recipients: ReadonlyMap<string, string>;
}

/** Takes the octets of one mail. */
export interface Receiving {
  writer: Pick<SpoolWriter, 'write' | 'abort'>;
  /** Call after the last octet: why the mail is refused because of its header. */
  refusal?(header: HeaderBlock): SealpostError | undefined;
  /** Call after the last octet: one result for each message that it became, once they are durable. */
  store(messageId: string | null): Promise<IntakeResult[]>;
}

export interface Acceptance {
  /** Why the client may not send anything now. */
  refuseMail(connection: Connection): Reply | undefined;
  /** Refuses a sender from whom nothing is taken. Errors: those that have an SMTP reply. */
  sender(address: string, connection: Connection): void;
  /**
   * What a recipient stands for: a mailbox, or an address of a partner. Errors: those that have an SMTP reply.
   *
   * @param from the sender of the transaction
   */
  recipient(address: string, connection: Connection, from: string): string;
  begin(mail: Arriving): Receiving;
}

/** What a Received field would say (RFC 5321 section 4.4). */
export function traceOf(smtp: SMTPServerSession): Record<string, string | number> {
  return {
    client: smtp.remoteAddress,
    helo: smtp.hostNameAppearsAs,
    protocol: smtp.transmissionType,
    ...(smtp.tlsOptions ? { tls: `${smtp.tlsOptions.version} ${smtp.tlsOptions.name}` } : {}),
  };
}
