/** Mail for our own mailboxes, from anybody: which recipients are accepted, and how their mail is taken. */
import { AddressBook, type MailboxConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type HeaderBlock, loopOf, parseMailbox, type Tracer } from '../message/index.ts';
import type { Intake, IntakeEntry } from '../queue/index.ts';
import { type Acceptance, type Arriving, type Receiving, traceOf } from './acceptance.ts';

export class MailboxAcceptance implements Acceptance {
  readonly #recipients: Recipients;
  readonly #intake: Pick<Intake, 'begin' | 'commit'>;

  readonly #trace: Tracer | undefined;

  readonly #isPaused: (mailbox: string) => boolean;

  /** @param isPaused whether a person has paused a mailbox */
  constructor(
    recipients: Recipients,
    intake: Pick<Intake, 'begin' | 'commit'>,
    trace: Tracer | undefined,
    isPaused: (mailbox: string) => boolean = () => false,
  ) {
    this.#isPaused = isPaused;
    this.#recipients = recipients;
    this.#intake = intake;
    this.#trace = trace;
  }

  refuseMail(): undefined {
    return undefined;
  }

  /** Anybody may write to us. */
  sender(): void {}

  recipient(address: string): string {
    const mailbox = this.#recipients.find(address);
    if (this.#isPaused(mailbox)) throw new SealpostError('mailbox-paused', `mailbox ${mailbox} is paused`);
    return mailbox;
  }

  begin(mail: Arriving): Receiving {
    const writer = this.#intake.begin();
    return {
      writer,
      refusal: (header) => this.#loop(header, new Set(mail.recipients.values())),
      store: (messageId) => this.#intake.commit(writer, entriesOf(mail, messageId)),
    };
  }

  /** Mail that has been here before. The server that sends it back must be told. */
  #loop(header: HeaderBlock, mailboxes: Iterable<string>): SealpostError | undefined {
    for (const mailbox of mailboxes) {
      const why = this.#trace && loopOf(header, this.#trace, mailbox);
      if (why !== undefined) return new SealpostError('mail-loop', `mail for ${mailbox}: ${why}`);
    }
    return undefined;
  }
}

/** One entry per mailbox, with its own recipients. */
function entriesOf({ smtp, from, recipients }: Arriving, messageId: string | null): IntakeEntry[] {
  const byMailbox = new Map<string, string[]>();
  for (const [address, mailbox] of recipients)
    byMailbox.set(mailbox, [...(byMailbox.get(mailbox) ?? []), address]);
  const origin = { kind: 'smtp', detail: traceOf(smtp) } as const;
  return Array.from(byMailbox, ([mailbox, to]) => ({ mailbox, origin, envelope: { from, to }, messageId }));
}

/**
 * The recipients that the receiver accepts: addresses and whole domains of the mailboxes. Nothing else is accepted, not
 * even postmaster unless it is configured, so Sealpost is never an open relay.
 */
export class Recipients {
  readonly #book = new AddressBook<string>();

  /** @param mailboxes as checked by the configuration reader: each entry is an address, and belongs to one mailbox */
  constructor(mailboxes: readonly Pick<MailboxConfig, 'name' | 'addresses'>[]) {
    for (const { name, addresses } of mailboxes) this.#book.addAll(addresses, name);
  }

  /**
   * The name of the mailbox, found as `AddressBook` does.
   *
   * Errors: `address-invalid`, `mailbox-unknown`.
   */
  find(address: string): string {
    // RFC 5321 section 4.1.1.3: the only recipient without a domain
    const isPostmaster = address.toLowerCase() === 'postmaster';
    const name = isPostmaster
      ? this.#book.postmaster
      : this.#book.find(parseMailbox(address, { utf8: true }));
    if (name !== undefined) return name;
    throw new SealpostError(
      'mailbox-unknown',
      isPostmaster
        ? 'postmaster is not a configured address'
        : 'the recipient is not an address of a configured mailbox',
    );
  }
}
