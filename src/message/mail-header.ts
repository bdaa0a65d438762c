import { type Address, type AddressList, isKnown, type KnownAddress, readAddressList } from './address.ts';
import { decodeWords } from './encoded-words.ts';
import type { HeaderBlock, HeaderField } from './headers.ts';

export interface AddressJson {
  name: string;
  /** The local part as written and the domain as A-labels in lower case; '' for an invalid address. */
  address: string;
}

/** Fields of a message for display, decoded (RFC 2047, RFC 5322). */
export interface HeadersJson {
  subject: string | null;
  from: AddressJson[];
  /** The Sender, if it is given besides the authors (RFC 5322, section 3.6.2). It proves nothing. */
  sender: AddressJson | null;
  to: AddressJson[];
  cc: AddressJson[];
  replyTo: AddressJson[];
  /** With angle brackets. The same as in the ledger, unless a protected header has a different one. */
  messageId: string | null;
  inReplyTo: string | null;
  /** ISO 8601 in UTC; null if missing or unreadable. */
  date: string | null;
}

/** The authors and the sender that a message names. Policy and display both use this one reading. */
export interface Authors {
  /** All addresses of all From fields. */
  readonly from: readonly (Address | KnownAddress)[];
  /** Why From names no usable author: it is missing, repeated, or not a list of RFC 5322. */
  readonly fault: string | undefined;
  /** Like `from` and `fault`. Empty if there is no Sender field, which is not a fault. */
  readonly sender: AddressList;
}

export interface MailHeader {
  readonly authors: Authors;
  readonly json: HeadersJson;
}

/** Reads the fields for authors, recipients, date and subject. */
export function readMailHeader(headers: HeaderBlock): MailHeader {
  const authors = readAuthors(headers);
  const list = (name: string) =>
    headers
      .all(name)
      .flatMap((value) => readAddressList(value).addresses)
      .map(toJson);
  const subject = headers.get('subject');
  const [sender] = authors.sender.addresses;
  return {
    authors,
    json: {
      subject: subject === undefined ? null : decodeWords(subject),
      from: authors.from.map(toJson),
      sender: sender === undefined ? null : toJson(sender),
      to: list('to'),
      cc: list('cc'),
      replyTo: list('reply-to'),
      messageId: readMessageId(headers),
      inReplyTo: headers.get('in-reply-to') || null,
      date: readDate(headers.get('date')),
    },
  };
}

function readAuthors(headers: HeaderBlock): Authors {
  const fields = headers.fields.filter(({ key }) => key === 'from');
  const lists = fields.map(readAddressField);
  const addresses = lists.flatMap((list) => list.addresses);
  const wrong = lists.find(({ fault }) => fault !== undefined)?.fault;
  const fault =
    fields.length === 0
      ? 'the message has no From field'
      : fields.length > 1
        ? 'the message has more than one From field'
        : wrong !== undefined
          ? `the From field ${wrong}`
          : addresses.length === 0
            ? 'the From field names nobody'
            : undefined;
  return { from: addresses, fault, sender: readSender(headers) };
}

/** RFC 5322, section 3.6.2: one mailbox, once. */
function readSender(headers: HeaderBlock): AddressList {
  const fields = headers.fields.filter(({ key }) => key === 'sender');
  const lists = fields.map(readAddressField);
  const addresses = lists.flatMap((list) => list.addresses);
  const wrong = lists.find(({ fault }) => fault !== undefined)?.fault;
  if (fields.length > 1) return { addresses, fault: 'the message has more than one Sender field' };
  return { addresses, fault: wrong === undefined ? undefined : `the Sender field ${wrong}` };
}

/** Octets that are not UTF-8 say nothing about an address, because their charset is unknown. */
export function readAddressField(field: HeaderField): AddressList {
  const { addresses, fault } = readAddressList(field.value);
  const guessed = !field.isUtf8 && addresses.some(({ address }) => /[^\p{ASCII}]/u.test(address));
  return { addresses, fault: fault ?? (guessed ? 'has an address in octets that are not UTF-8' : undefined) };
}

function toJson(address: Address | KnownAddress): AddressJson {
  if (!isKnown(address)) {
    // an address that could not be judged must not appear where programs look for one
    return {
      name: address.name === '' ? address.address : `${address.name} <${address.address}>`,
      address: '',
    };
  }
  const local = address.address.slice(0, address.address.lastIndexOf('@'));
  return { name: address.name, address: `${local}@${address.host}` };
}

function readDate(value: string | undefined): string | null {
  // V8 reads RFC 5322 dates with comments, but also much that is not a date
  if (value === undefined || !/\d{1,2} [A-Za-z]{3} \d{2,4} \d{1,2}:\d{2}/.test(value)) return null;
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}

/**
 * The Message-ID of a message with its angle brackets (RFC 5322 section 3.6.4), from the first such field. Null if it
 * is missing or invalid. This is the only reading, so ledger, duplicate detection and hand-off agree.
 */
export function readMessageId(headers: HeaderBlock): string | null {
  const value = (headers.get('message-id') ?? '').slice(0, LONGEST);
  return /^<[!-;=?-~]+>/.exec(value)?.[0] ?? null;
}

/** Octets of a line that servers accept (RFC 5321, section 4.5.3.1.6). */
const LONGEST = 998;
