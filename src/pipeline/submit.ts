/**
 * The one way in for mail to partners, used by every door. It finds the partners, checks what the client may do, adds
 * missing header fields, and returns ids once octets, jobs and records are durable. Doors load it without the code that
 * sends.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Client, Rates } from '../client/index.ts';
import { type PartnerConfig, partnerKey, signersOf } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  comparableAddress,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  isKnown,
  loopOf,
  MailDigest,
  NullSink,
  parseMailbox,
  readAddressField,
  readMailHeader,
  readMessageId,
  type Sink,
  type Tracer,
  tracerOf,
} from '../message/index.ts';
import type { DsnRequest, Origin, OutboundEntry, OutboundIntake } from '../queue/index.ts';
import { usualPriority } from '../queue/types.ts';
import { traced } from '../spans.ts';
import type { SpoolWriter } from '../spool/index.ts';
import type { Octets, Outgoing } from './outgoing.ts';
import type { Addressed, PartnerBook, To } from './recipients.ts';
import { checkRequest, isOver, type Request, requestOfFields, thatLeaves } from './request.ts';
import { mayComeFrom, notGranted, senderNotGranted } from './senders.ts';

export { type ContentFacts, contentType, nameProblem, Outgoing } from './outgoing.ts';
export { PartnerBook, type To } from './recipients.ts';
export { checkRequest, type Request, timeOf } from './request.ts';

export interface Submission extends Request {
  /** Who submits it, as its door has established. */
  client: Client;
  to: To;
  outgoing: Outgoing;
  origin: Origin;
  /** MAIL FROM, if the door has one. */
  from?: string | undefined;
  /** Use the null sender, whatever the partner's entry says: nobody answers an answer (RFC 3834, section 3.3). */
  nullSender?: true;
  dsn?: DsnRequest | undefined;
  /** Take further requests from the X-Sealpost-... fields of the mail. Otherwise these fields are just removed. */
  fields?: boolean;
  /** Makes the idempotency key once the octets were read, if no other key is given. */
  keyOfOctets?: (() => string) | undefined;
}

export interface SubmitParts {
  partners: PartnerBook;
  /** What each client has sent lately. */
  rates?: Rates;
  /** Octets of the largest mail. */
  maxSize?: number;
  /** Opens the intake if necessary, but only after the request was found valid. */
  withIntake<T>(work: (intake: OutboundIntake) => Promise<T>): Promise<T>;
  now: () => Date;
}

/** One message of a submission. */
export interface Submitted {
  id: string;
  partner: string;
  recipients: string[];
  /** The idempotency key was used before, with the same request, so nothing new was made. */
  duplicate: boolean;
}

/**
 * Puts a mail on the outbound queue, one message per partner. When this resolves, all are durable; if it rejects, there
 * is none. Missing From, To, Date and Message-ID are added.
 *
 * Errors: `not-granted`, `partner-unknown`, `address-invalid` (no recipient or no sender), `request-invalid`,
 * `mail-loop`, `idempotency-conflict`, `rate-limited`, `message-too-large`, those of `Outgoing.open` and of the intake.
 */
export function submit(parts: SubmitParts, submission: Submission): Promise<Submitted[]> {
  const { client, origin } = submission;
  return traced('submit', { door: origin.kind, client: client.name }, () => submitNow(parts, submission));
}

async function submitNow(parts: SubmitParts, submission: Submission): Promise<Submitted[]> {
  const { client, outgoing, to } = submission;
  if (!client.may('send')) throw notGranted(client, 'send');
  checkRequest(submission, parts.now().getTime());
  const addressed = parts.partners.resolve(client, to);
  for (const { partner } of addressed) checkIdentities(client, partner);
  parts.rates?.takeMessages(client, addressed.length);
  return await parts.withIntake(async (intake) => {
    const writer = intake.begin();
    try {
      const trace = tracerOf((purpose) => intake.deriveKey(purpose));
      const mail = new SubmittedMail(parts, submission, addressed, trace);
      await mail.spool(writer, outgoing.open());
      const results = await intake.commitOutbound(writer, mail.entries());
      return addressed.map(({ partner, recipients }, index) => {
        const { id = '', duplicate = false } = results[index] ?? {};
        return { id, partner: partner.name, recipients, duplicate };
      });
    } catch (error) {
      await writer.abort();
      throw error;
    }
  });
}

/** Mail to a partner is signed as its entry says. The client must be allowed to sign in that way. */
function checkIdentities(client: Client, partner: PartnerConfig): void {
  for (const name of signersOf(partner))
    if (!client.maySignAs(name)) throw notGranted(client, `identity ${name}`);
}

/** A mail on its way into the spool, and what becomes known about it there. */
class SubmittedMail {
  readonly #parts: SubmitParts;
  readonly #submission: Submission;
  readonly #addressed: readonly Addressed[];
  readonly #trace: Tracer;
  #request: Request;
  #digest: MailDigest | undefined;
  #messageId: string | null = null;
  #subject: string | null = null;
  /** The first address of From. */
  #author: string | undefined;
  /** Envelope sender, by partner. */
  #from: string[] = [];

  constructor(parts: SubmitParts, submission: Submission, addressed: readonly Addressed[], trace: Tracer) {
    this.#parts = parts;
    this.#trace = trace;
    this.#submission = submission;
    this.#addressed = addressed;
    const { metadata, idempotencyKey, delivery } = submission;
    this.#request = { metadata, idempotencyKey, delivery };
  }

  async spool(writer: SpoolWriter, mail: Octets): Promise<void> {
    const { maxSize = Number.POSITIVE_INFINITY, rates } = this.#parts;
    const { client } = this.#submission;
    const most = Math.min(maxSize, client.grants.limits.size || Number.POSITIVE_INFINITY);
    const ready: Buffer[] = [];
    let headers = false;
    const splitter = new HeaderSplitter((block) => {
      headers = true;
      const raw = thatLeaves(block);
      ready.push(this.#head(block), raw);
      this.#digest?.write(raw);
      const inner = this.#innerHeader(block);
      const write = (chunk: Buffer) => {
        inner?.write(chunk);
        ready.push(Buffer.from(chunk));
        this.#digest?.write(chunk);
      };
      const end = () => {
        inner?.end();
        this.#digest?.end();
      };
      return { write, end };
    });
    let octets = 0;
    const flush = async () => {
      for (const each of ready.splice(0)) await writer.write(each);
    };
    for await (const chunk of mail) {
      octets += chunk.length;
      if (octets > most)
        throw new SealpostError('message-too-large', `the message is larger than ${most} octets`);
      splitter.write(chunk);
      await flush();
    }
    splitter.end();
    await flush();
    if (!headers) throw new SealpostError('mime-malformed', 'the message has no header');
    rates?.takeOctets(client, octets * this.#addressed.length);
  }

  /** Reads the header. Returns the fields to prepend. */
  #head(headers: HeaderBlock): Buffer {
    const loop = loopOf(headers, this.#trace);
    if (loop !== undefined) throw new SealpostError('mail-loop', loop);
    const { fields, metadata, keyOfOctets } = this.#submission;
    if (fields) {
      const asked = requestOfFields(headers);
      const pairs = { ...metadata, ...asked.metadata };
      const both = Object.keys(pairs).length > 0 ? { metadata: pairs } : {};
      this.#request = { ...this.#request, ...asked, ...both };
      checkRequest(this.#request, keyOfOctets === undefined ? this.#parts.now().getTime() : 0);
    }
    if (this.#request.idempotencyKey !== undefined || keyOfOctets !== undefined)
      this.#digest = new MailDigest();
    this.#from = this.#addressed.map(({ partner }) => this.#sender(partner, headers));
    if (headers.get('from') === undefined) this.#checkMadeAuthor(this.#from[0] ?? '');
    const missing = missingFields(headers, this.#from[0] ?? '', this.#addressed, this.#parts.now());
    this.#messageId = missing.messageId;
    return missing.octets;
  }

  /** The envelope sender. The addresses that From names are subject to the client's grants, too. */
  #sender(partner: PartnerConfig, headers: HeaderBlock): string {
    const { client, from, nullSender } = this.#submission;
    // the header is whole (`Outgoing`), so any reader finds exactly what the fields name
    const { authors, json } = this.#checkAuthors(partner, headers);
    this.#subject = json.subject;
    this.#author = authors.from[0]?.address;
    if (from !== undefined && !mayComeFrom(client, partner, from)) throw senderNotGranted(client, from);
    const sender = nullSender ? '' : (partner.from ?? from ?? authors.from[0]?.address);
    if (sender === '') return '';
    if (sender !== undefined) return parseMailbox(sender, { utf8: true }).address;
    throw noAuthor(partner);
  }

  /** All partners get the same octets, so they get the same From field, which is made of the first one's sender. */
  #checkMadeAuthor(address: string): void {
    const { client } = this.#submission;
    const [first] = this.#addressed;
    if (address === '' && first) throw noAuthor(first.partner);
    for (const { partner } of this.#addressed)
      if (!mayComeFrom(client, partner, address)) throw senderNotGranted(client, address);
  }

  #checkAuthors(partner: PartnerConfig, headers: HeaderBlock) {
    const { client } = this.#submission;
    const header = readMailHeader(headers);
    const { authors } = header;
    if (client.grants.senders === '*') return header;
    for (const each of [...authors.from, ...authors.sender.addresses, ...resenders(headers)])
      if (!isKnown(each) || !mayComeFrom(client, partner, each.address))
        throw senderNotGranted(client, each.address);
    return header;
  }

  /**
   * If all of the content is a mail, readers may take its header for that of the message, under our signature (RFC
   * 8551, section 3.1). So the addresses in it are subject to the grants too.
   */
  #innerHeader(headers: HeaderBlock): Sink | undefined {
    const { client } = this.#submission;
    const { contentType, transferEncoding } = entityInfo(headers);
    if (client.grants.senders === '*' || !wrapping.has(contentType.value)) return undefined;
    // RFC 2046, section 5.2.1 allows no other, but there are readers that decode it all the same
    if (!['7bit', '8bit', 'binary'].includes(transferEncoding))
      throw notGranted(
        client,
        'a mail that is encoded as content of another',
        'write it without an encoding',
      );
    return new HeaderSplitter((inner) => {
      const { fault } = readMailHeader(inner).authors;
      if (fault !== undefined) throw notGranted(client, `the sender of the mail inside, which ${fault}`);
      for (const { partner } of this.#addressed) this.#checkAuthors(partner, inner);
      return new NullSink();
    });
  }

  /** One message per partner, once the mail is in the spool. */
  entries(): OutboundEntry[] {
    const { client, origin, dsn, keyOfOctets } = this.#submission;
    const { metadata, delivery } = this.#request;
    const idempotencyKey = this.#request.idempotencyKey ?? keyOfOctets?.();
    const late = isOver(this.#request, this.#parts.now().getTime());
    return this.#addressed.map(({ partner, recipients }, index) => {
      const asked = dsn && dsnFor(dsn, recipients);
      return {
        partner: partnerKey(partner),
        client: client.name,
        origin,
        envelope: { from: this.#from[index] ?? '', to: recipients, ...(asked && { dsn: asked }) },
        messageId: this.#messageId,
        ...(partner.keepSubjects && this.#subject !== null && { subject: this.#subject }),
        ...(metadata && { metadata }),
        ...(delivery && { delivery }),
        ...(idempotencyKey !== undefined && {
          idempotency: {
            key: idempotencyKey,
            fingerprint: this.#fingerprint(recipients),
            ...(late && { onlyKnown: true }),
          },
        }),
      };
    });
  }

  /** A digest of the request as it was understood. Framing, and what is made anew each time, do not count. */
  #fingerprint(recipients: readonly string[]): string {
    const { from = this.#author, dsn } = this.#submission;
    const { metadata = {}, delivery = {} } = this.#request;
    const asked = Object.entries(dsn?.recipients ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    const request = {
      to: recipients.map(keyOf).sort(),
      from: from && (comparableAddress(from) ?? from),
      dsn: dsn && [dsn.ret, dsn.envid, asked],
      delivery: [delivery.priority ?? usualPriority, delivery.notBefore, delivery.notAfter],
      metadata: Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)),
      mail: this.#digest?.digest,
    };
    return createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 32);
  }
}

function noAuthor({ name }: PartnerConfig): SealpostError {
  return new SealpostError(
    'address-invalid',
    'the message has no From field and the partner no from setting',
    {
      hint: `set from of partner ${name}, or add a From field to the message`,
    },
  );
}

/** Whoever sends a mail on says so beside its author (RFC 5322, section 3.6.6), and readers show it. */
function resenders({ fields }: HeaderBlock) {
  return fields
    .filter(({ key }) => key === 'resent-from' || key === 'resent-sender')
    .flatMap((field) => {
      const { addresses, fault } = readAddressField(field);
      return fault === undefined ? addresses : [{ name: '', address: field.value.slice(0, 80) }];
    });
}

/** Types of a mail within a mail. */
const wrapping: ReadonlySet<string> = new Set(['message/rfc822', 'message/global']);

const keyOf = (address: string) => (address === '' ? '' : parseMailbox(address, { utf8: true }).key);

/** What was requested for the recipients of one partner. */
function dsnFor(dsn: DsnRequest, recipients: readonly string[]): DsnRequest {
  const { recipients: asked, ...rest } = dsn;
  const own = Object.entries(asked ?? {}).filter(([address]) => recipients.includes(address));
  return own.length === 0 ? rest : { ...rest, recipients: Object.fromEntries(own) };
}

/** Fields that RFC 5322 section 3.6 requires and the message lacks, as octets to prepend. */
function missingFields(
  headers: HeaderBlock,
  from: string,
  addressed: readonly Addressed[],
  now: Date,
): { octets: Buffer; messageId: string | null } {
  const domain = from.split('@').at(-1) || 'localhost';
  // One partner must not learn who another one is.
  const [only, ...others] = addressed.map(({ recipients }) => `<${recipients.join('>, <')}>`);
  const to = others.length > 0 ? 'undisclosed-recipients:;' : only;
  const made = `<${randomUUID()}@${domain}>`;
  const given = headers.get('message-id') === undefined ? made : readMessageId(headers);
  const fields = [
    ['From', `<${from}>`],
    ['To', to],
    ['Date', now.toUTCString().replace('GMT', '+0000')],
    ['Message-ID', made],
  ].filter(([name = '']) => headers.get(name) === undefined);
  return {
    octets: Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')),
    messageId: given,
  };
}
