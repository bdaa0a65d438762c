import dns, { type Answer, type DecodedPacket } from 'dns-packet';

/** Types that `dns-packet` cannot parse. Their data is plain octets. */
export type RawType = 'CERT' | 'SMIMEA';
export type RecordType = 'A' | 'AAAA' | 'MX' | 'TLSA' | 'TXT' | RawType;
export interface RawRecord {
  type: string;
  name: string;
  ttl?: number | undefined;
  data: Buffer;
}
export type RecordOf<T extends RecordType> = T extends RawType ? RawRecord : Extract<Answer, { type: T }>;

/** How `dns-packet` writes a type. It silently turns an unknown type into type 0. */
export const packetType = (type: RecordType) => (type === 'SMIMEA' ? 'UNKNOWN_53' : type);

/**
 * No usable answer: SERVFAIL (which is also what a validating resolver says about forged records), silence, or
 * nonsense.
 */
export class DnsFailure extends Error {}

/** Octets of an answer over UDP that no path fragments (DNS flag day 2020). */
const UDP_SIZE = 1232;

/** A question, and what identifies its reply. */
export class Question {
  readonly name: string;
  readonly type: RecordType;
  readonly id: number;

  constructor(name: string, type: RecordType) {
    this.name = name;
    this.type = type;
    const [id = 0] = crypto.getRandomValues(new Uint16Array(1));
    this.id = id;
  }

  /** With AD, which asks for the AD bit without the signatures (RFC 6840 section 5.7). */
  encode(): Buffer {
    return dns.encode({
      type: 'query',
      id: this.id,
      flags: dns.RECURSION_DESIRED | dns.AUTHENTIC_DATA,
      questions: [Object.assign({ type: 'CERT' as const, name: this.name }, { type: packetType(this.type) })],
      additionals: [
        {
          ...{ type: 'OPT', name: '.', udpPayloadSize: UDP_SIZE, extendedRcode: 0, ednsVersion: 0 },
          ...{ flags: 0, flag_do: false, options: [] },
        },
      ],
    });
  }

  /** The message, if it is the reply to this question; undefined for anything else. */
  reply(message: Buffer): DecodedPacket | undefined {
    try {
      const packet = dns.decode(message);
      const [asked] = packet.questions ?? [];
      const own =
        asked !== undefined &&
        String(asked.type) === packetType(this.type) &&
        sameName(asked.name, this.name);
      return packet.type === 'response' && packet.id === this.id && own ? packet : undefined;
    } catch {
      return undefined;
    }
  }

  toString(): string {
    return `${this.type} ${this.name}`;
  }
}

/** In lower case, without a final dot. */
export const plainName = (name: string) => name.toLowerCase().replace(/\.$/, '');
export const sameName = (a: string, b: string) => plainName(a) === plainName(b);
