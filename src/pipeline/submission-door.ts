/** What is behind the listener for SMTP submission: the clients, the partners, and `submit`. */
import type { ClientRegistry, Rates } from '../client/index.ts';
import type { PartnerConfig } from '../config/index.ts';
import type { OutboundIntake } from '../queue/index.ts';
import type { SubmissionDoor } from '../smtp/index.ts';
import { mayComeFrom, Senders, senderNotGranted } from './senders.ts';
import { Outgoing, PartnerBook, submit } from './submit.ts';

export interface SubmissionDoorParts {
  registry: Pick<ClientRegistry, 'byLogin' | 'byCertificate' | 'again' | 'trouble'>;
  partners: readonly PartnerConfig[];
  intake: OutboundIntake;
  rates: Rates;
  now: () => Date;
}

export function submissionDoor({
  registry,
  partners,
  intake,
  rates,
  now,
}: SubmissionDoorParts): SubmissionDoor {
  const book = new PartnerBook(partners);
  const senders = new Senders(partners);
  return {
    login(user, password) {
      if (registry.trouble) throw registry.trouble;
      return registry.byLogin(user, password);
    },
    byCertificate: (pin) => registry.byCertificate(pin),
    again: (client) => registry.again(client),
    sender: (client, address) => senders.check(client, address),
    recipient(client, written, from) {
      const { partner, address } = book.at(client, written);
      if (mayComeFrom(client, partner, from)) return address;
      throw senderNotGranted(client, from);
    },
    submit: ({ octets, to, ...mail }) =>
      submit(
        { partners: book, rates, withIntake: (work) => work(intake), now },
        {
          ...mail,
          to: { recipients: to },
          outgoing: Outgoing.mail(() => octets, 'the mail'),
          fields: true,
        },
      ),
  };
}
