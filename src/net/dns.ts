import { createSocket } from 'node:dgram';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Answer, DecodedPacket } from 'dns-packet';
import { LRUCache } from 'lru-cache';
import {
  DnsFailure,
  packetType,
  plainName,
  Question,
  type RawRecord,
  type RecordOf,
  type RecordType,
  sameName,
} from './dns-question.ts';
import { QuestionStream } from './dns-stream.ts';

/** A DNSSEC-validating resolver, as the operator configured it. */
export interface ResolverSettings {
  /** IP address. */
  address: string;
  port: number;
  /** DNS over TLS (RFC 7858). */
  tls: boolean;
  /** Name in its certificate. Default: the address. */
  name?: string | undefined;
  /** CA certificates in PEM that replace the system's. */
  ca?: string | undefined;
}

export interface DnsAnswer<T extends RecordType> {
  records: RecordOf<T>[];
  /**
   * Whether the resolver has validated all of it: records and aliases, or that there are none (the AD bit of RFC 4035
   * section 3.2.3).
   */
  secure: boolean;
  /** False if the name does not exist at all. */
  exists: boolean;
  /**
   * The name that aliases (CNAME) lead to, or the name itself if there are none. In lower case, without a final dot.
   */
  name: string;
}

export interface Dns {
  /** Rejects with a `DnsFailure`. */
  lookup<T extends RecordType>(name: string, type: T): Promise<DnsAnswer<T>>;
  close(): void;
}

/** Milliseconds until a question over UDP is repeated, and how often. */
const PATIENCE = 2000;
const TRIES = 3;
/** Seconds for which an answer is remembered at most, and how many answers are. The resolver has a cache of its own. */
const MAX_LIFE = 60;
const NOTHING_LIFE = 10;
const REMEMBERED = 2000;
const MAX_ALIASES = 8;

/**
 * Asks one resolver. Node's own client does not show whether an answer was validated (nodejs/node issue 57159), so
 * `dns-packet` writes the questions and reads the answers.
 */
export function createDns(settings: ResolverSettings): Dns {
  const kept = new Remembered();
  const stream = new QuestionStream(() => open(settings));
  return {
    async lookup(name, type) {
      const known = kept.get(name, type);
      if (known !== undefined) return known;
      let reply: DecodedPacket;
      if (settings.tls) reply = await stream.ask(new Question(name, type));
      else {
        reply = await askUdp(name, type, settings);
        if (reply.flag_tc) reply = await stream.ask(new Question(name, type));
      }
      const { answer, life } = read(reply, name, type);
      kept.set(name, type, answer, life);
      return answer;
    },
    close: () => stream.close(),
  };
}

class Remembered {
  readonly #answers = new LRUCache<string, { [T in RecordType]?: DnsAnswer<T> }>({ max: REMEMBERED });

  get<T extends RecordType>(name: string, type: T): DnsAnswer<T> | undefined {
    const found: { [K in RecordType]?: DnsAnswer<K> } | undefined = this.#answers.get(keyOf(name, type));
    return found?.[type];
  }

  /** @param life in seconds */
  set<T extends RecordType>(name: string, type: T, answer: DnsAnswer<T>, life: number): void {
    if (life > 0) this.#answers.set(keyOf(name, type), { [type]: answer }, { ttl: life * 1000 });
  }
}

const keyOf = (name: string, type: RecordType) => `${type} ${plainName(name)}`;

async function askUdp(name: string, type: RecordType, settings: ResolverSettings): Promise<DecodedPacket> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const reply = await askUdpOnce(new Question(name, type), settings);
    if (reply !== undefined) return reply;
  }
  throw new DnsFailure(`the resolver did not answer (${type} ${name})`);
}

/** A connected socket for each question: its port cannot be guessed, and it receives packets from the resolver only. */
async function askUdpOnce(
  question: Question,
  { address, port }: ResolverSettings,
): Promise<DecodedPacket | undefined> {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve) => {
      timer = setTimeout(() => resolve(undefined), PATIENCE);
      socket.on('error', () => resolve(undefined));
      socket.on('message', (message) => {
        const reply = question.reply(message);
        if (reply !== undefined) resolve(reply);
      });
      socket.on('connect', () => socket.send(question.encode()));
      socket.connect(port, address);
    });
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

function open({ address, port, tls, name, ca }: ResolverSettings): Socket {
  if (!tls) return connectTcp(port, address);
  return connectTls({
    ...{ host: address, port, minVersion: 'TLSv1.2', ALPNProtocols: ['dot'] },
    ...(name === undefined ? {} : { servername: name }),
    ...(ca === undefined ? {} : { ca }),
  });
}

/** Errors: `DnsFailure`. */
function read<T extends RecordType>(
  packet: DecodedPacket & { rcode?: string },
  name: string,
  type: T,
): { answer: DnsAnswer<T>; life: number } {
  const { rcode, answers = [], flag_ad: secure, flag_tc: cut } = packet;
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN')
    throw new DnsFailure(`the resolver answered ${rcode ?? 'nothing'} (${type} ${name})`);
  if (cut) throw new DnsFailure(`the answer is cut (${type} ${name})`);
  let target = plainName(name);
  let life = MAX_LIFE;
  for (let hops = 0; ; hops += 1) {
    const alias = answers.find((each) => each.type === 'CNAME' && sameName(each.name, target));
    if (alias === undefined || alias.type !== 'CNAME') break;
    if (hops === MAX_ALIASES) throw new DnsFailure(`too many aliases (${type} ${name})`);
    life = Math.min(life, alias.ttl ?? 0);
    target = plainName(alias.data);
  }
  const all: (Answer | RawRecord)[] = answers;
  const records = all.filter(
    (each): each is RecordOf<T> => each.type === packetType(type) && sameName(each.name, target),
  );
  for (const each of records) life = Math.min(life, 'ttl' in each ? (each.ttl ?? 0) : 0);
  // that there is nothing is remembered only briefly, because there might be something soon
  if (records.length === 0) life = Math.min(life, NOTHING_LIFE);
  return { answer: { records, secure, exists: rcode === 'NOERROR', name: target }, life };
}
