/** What is behind a drop folder: its client, the partners, and `submit`. */
import type { Client, Rates } from '../client/index.ts';
import type { OutboundIntake } from '../queue/index.ts';
import { Outgoing, type PartnerBook, type Submitted, submit } from './submit.ts';

export interface DropDoorParts {
  /** The client of the folder, as it is now. Errors: `client-unknown`, `clients-changed`. */
  client(): Client;
  partners: PartnerBook;
  /** Template for the subject of content: `{name}`, `{stem}`, `{partner}`. */
  subject: string;
  intake: OutboundIntake;
  rates: Rates;
  now: () => Date;
}

/** A file of a drop folder. */
export interface FileToSend {
  partner: string;
  name: string;
  folder: string;
  octets: AsyncIterable<Buffer>;
  key(): string;
}

/** A file named *.eml is a mail, and may have fields that ask for something. Any other file is content. */
export function dropDoor(parts: DropDoorParts): { submit(file: FileToSend): Promise<Submitted[]> } {
  const { partners, intake, rates, now } = parts;
  return {
    async submit({ partner, name, folder, octets, key }) {
      const client = parts.client();
      const isMail = /\.eml$/i.test(name);
      const outgoing = isMail
        ? Outgoing.mail(() => octets, name)
        : Outgoing.content(() => octets, name, { name, subject: subjectOf(parts.subject, name, partner) });
      return await submit(
        { partners, rates, withIntake: (work) => work(intake), now },
        {
          client,
          to: { partner },
          outgoing,
          origin: { kind: 'folder', detail: { folder, file: name } },
          metadata: { file: name },
          fields: isMail,
          keyOfOctets: key,
        },
      );
    },
  };
}

function subjectOf(template: string, name: string, partner: string): string {
  const dot = name.lastIndexOf('.');
  const values: Record<string, string> = { name, stem: dot > 0 ? name.slice(0, dot) : name, partner };
  return template.replaceAll(/\{(name|stem|partner)\}/g, (_, each: string) => values[each] ?? '');
}
