/** Mail for our own mailboxes, from anybody. */
import type { Intake, IntakeEntry } from '../queue/index.ts';
import { type Acceptance, type Arriving, type Receiving, traceOf } from './acceptance.ts';
import type { Recipients } from './recipients.ts';

export class MailboxAcceptance implements Acceptance {
  readonly #recipients: Recipients;
  readonly #intake: Pick<Intake, 'begin' | 'commit'>;

  constructor(recipients: Recipients, intake: Pick<Intake, 'begin' | 'commit'>) {
    this.#recipients = recipients;
    this.#intake = intake;
  }

  refuseMail(): undefined {
    return undefined;
  }

  recipient(address: string): string {
    return this.#recipients.find(address);
  }

  begin(mail: Arriving): Receiving {
    const writer = this.#intake.begin();
    return {
      writer,
      store: (messageId) => this.#intake.commit(writer, entriesOf(mail, messageId)),
    };
  }
}

/** One entry for each mailbox, with its own recipients. */
function entriesOf({ smtp, from, recipients }: Arriving, messageId: string | null): IntakeEntry[] {
  const byMailbox = new Map<string, string[]>();
  for (const [address, mailbox] of recipients)
    byMailbox.set(mailbox, [...(byMailbox.get(mailbox) ?? []), address]);
  const origin = { kind: 'smtp', detail: traceOf(smtp) } as const;
  return Array.from(byMailbox, ([mailbox, to]) => ({ mailbox, origin, envelope: { from, to }, messageId }));
}
