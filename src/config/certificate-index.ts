/**
 * The certificates of all partners in one file: 30,000 of them, read from as many files and parsed, take many seconds, and
 * 130 MB in each process. The supervisor reads the files once. The roles read cards (what a certificate is found by, and
 * when it is valid) and parse a certificate when it is first used. Only files that have changed are read again.
 *
 * The file has three lines of JSON (what it was made of, the cards, the length of both), and the octets of the certificates.
 * It lies in the data folder, which is ours alone. A certificate that is not the one on its card is not used.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { SealpostError } from '../errors.ts';
import { Certificate, keyDigest, unusableFor, wordsOf } from '../pki/index.ts';
import { racyMs, stateOf } from './kept-partners.ts';
import type { KeyReader } from './key-reader.ts';
import { type ConfiguredCertificate, splitAuthorities } from './partner-certificates.ts';
import type { Config, PartnerConfig } from './schema.ts';

/** What is known of a certificate without parsing it. */
interface Card {
  /** SHA-256 in hexadecimal. */
  thumbprint: string;
  /** Where its octets begin, and how many they are. */
  at: number;
  length: number;
  /** Validity in milliseconds since the epoch. */
  from: number;
  until: number;
  /** What it is found by (`pki/lookup.ts`). */
  words: string[];
  /** `keyDigest` of its key. */
  key: string;
  /** What its key and keyUsage allow. */
  fits: ('encrypt' | 'sign')[];
  /** Whether it says that it is an authority's. */
  ca: boolean;
}

/** Numbers of cards. `own` has the entry of `partners[].certificates` before each. */
interface OfPartner {
  own: [entry: number, card: number][];
  authorities: number[];
}

interface Sources {
  program: string;
  /** When the files were looked at. */
  at: number;
  files: Record<string, { state: string; cards: number[] }>;
}

interface Cards {
  cards: Card[];
  partners: Record<string, OfPartner>;
}

/** Certificates that a process keeps parsed: about 10 MB. */
const mostParsed = 2000;

/** An index that is open. Its octets stay readable when the file is replaced. */
class OpenIndex {
  readonly #handle: number;
  readonly sources: string;
  readonly cards: string;
  readonly #start: number;
  readonly size: number;

  /** System errors; an error of JSON for a file that is none. */
  constructor(path: string) {
    this.#handle = openSync(path, 'r');
    const { size } = fstatSync(this.#handle);
    const head = this.#read(0, Math.min(size, 64)).toString('latin1');
    const end = head.indexOf('\n');
    const [sources = 0, cards = 0, octets = 0]: number[] = JSON.parse(head.slice(0, end));
    this.#start = end + 1 + sources + cards;
    if (size !== this.#start + octets) throw new SyntaxError('the index is cut');
    this.sources = this.#read(end + 1, sources).toString();
    this.cards = this.#read(end + 1 + sources, cards).toString();
    this.size = octets;
  }

  /** Octets of certificates. */
  octets(at: number, length: number): Buffer {
    return this.#read(this.#start + at, length);
  }

  #read(at: number, length: number): Buffer {
    const octets = Buffer.allocUnsafe(length);
    if (readSync(this.#handle, octets, 0, length, at) !== length) throw new SyntaxError('the index is cut');
    return octets;
  }

  close(): void {
    closeSync(this.#handle);
  }
}

/** A certificate of a partner, parsed when it is first used. */
class IndexedCertificate implements ConfiguredCertificate {
  readonly source = 'configuration';
  readonly confirmed: boolean;
  readonly file: string;
  readonly entry: number;
  readonly use: ConfiguredCertificate['use'];
  readonly from: Date | undefined;
  readonly until: Date | undefined;
  readonly #card: Card;
  readonly #parse: (card: Card) => Certificate;

  constructor(
    { file, use, from, until, confirmed }: PartnerConfig['certificates'][number],
    entry: number,
    card: Card,
    parse: (card: Card) => Certificate,
  ) {
    this.file = file;
    this.entry = entry;
    this.use = use;
    this.from = from === undefined ? undefined : new Date(from);
    this.until = until === undefined ? undefined : new Date(until);
    this.confirmed = confirmed;
    this.#card = card;
    this.#parse = parse;
  }

  get thumbprint(): string {
    return this.#card.thumbprint;
  }

  get keyDigest(): string {
    return this.#card.key;
  }

  get fits(): Card['fits'] {
    return this.#card.fits;
  }

  get words(): readonly string[] {
    return this.#card.words;
  }

  get validity(): { notBefore: Date; notAfter: Date } {
    return { notBefore: new Date(this.#card.from), notAfter: new Date(this.#card.until) };
  }

  get certificate(): Certificate {
    return this.#parse(this.#card);
  }
}

/** What an index has for a process that uses it. */
export interface IndexedPartners {
  partners: ReadonlyMap<string, readonly ConfiguredCertificate[]>;
  authorities: readonly Certificate[];
}

/**
 * The certificates of partners from an index, by name of the partner, and those of authorities in their files.
 *
 * @returns undefined if the index is not that of these partners
 */
export function openPartners(path: string, config: Config): IndexedPartners | undefined {
  if (!existsSync(path)) return undefined;
  const index = new OpenIndex(path);
  const { cards, partners }: Cards = JSON.parse(index.cards);
  const parsed = new LRUCache<Card, Certificate>({ max: mostParsed });
  const parse = (card: Card): Certificate => {
    let certificate = parsed.get(card);
    if (certificate === undefined) {
      certificate = certificateOf(index, card);
      parsed.set(card, certificate);
    }
    return certificate;
  };
  const found = new Map<string, readonly ConfiguredCertificate[]>();
  const issuers = new Set<Card>();
  for (const { name, certificates } of config.partners) {
    const of = Object.hasOwn(partners, name) ? partners[name] : undefined;
    if (of === undefined) return undefined;
    const own = of.own.flatMap(([entry, number]) => {
      const [written, card] = [certificates[entry], cards[number]];
      return written && card ? [new IndexedCertificate(written, entry, card, parse)] : [];
    });
    found.set(name, own);
    for (const number of of.authorities) {
      const card = cards[number];
      if (card !== undefined) issuers.add(card);
    }
  }
  return { partners: found, authorities: [...issuers].map((card) => certificateOf(index, card)) };
}

/** Errors: `certificate-malformed` if the octets are not those of the card. */
function certificateOf(index: OpenIndex, { at, length, thumbprint }: Card): Certificate {
  const octets = index.octets(at, length);
  if (createHash('sha256').update(octets).digest('hex') !== thumbprint)
    throw new SealpostError('certificate-malformed', 'the index of certificates is damaged', {
      hint: 'restart the daemon: it is made anew',
    });
  return new Certificate(octets);
}

/**
 * Tells whether a file is as it was when an index was made; undefined for a file that it was not made of.
 *
 * @returns undefined for an index of another program, or none
 */
export function unchangedFiles(
  path: string,
  program: string,
): ((file: string) => boolean | undefined) | undefined {
  const made = previous(path, program);
  made?.index.close();
  return (
    made &&
    ((file) =>
      Object.hasOwn(made.sources.files, file) ? isUnchanged(made.sources, file, stateOf(file)) : undefined)
  );
}

function isUnchanged({ files, at }: Sources, file: string, found: ReturnType<typeof stateOf>): boolean {
  const kept = Object.hasOwn(files, file) ? files[file] : undefined;
  // it may have been written again within one tick of the clock
  return found !== undefined && kept?.state === found.state && found.changed <= at - racyMs;
}

export interface BuiltIndex {
  /** How many files were read, and how many were not because they have not changed. */
  read: number;
  kept: number;
}

/**
 * Makes the index of a configuration at `target`, with what can be used of the one in the data folder, and keeps it there
 * for the next time. Problems with files go to the reader; then nothing is made.
 *
 * @param program changes with everything that reads and parses
 */
export function buildIndex(
  config: Config,
  target: string,
  program: string,
  reader: KeyReader,
  now = Date.now(),
): BuiltIndex {
  const place = join(config.dataDir, 'certificates.index');
  const old = previous(place, program);
  const made = new IndexWriter(old, now);
  config.partners.forEach((partner, index) => {
    made.add(partner, ['partners', index, 'certificates'], reader);
  });
  if (reader.problems.length > 0) return made.built;
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  rmSync(target, { force: true });
  if (old !== undefined && made.isSame(old.index)) {
    publish(place, target);
    // another process may have replaced it since it was opened
    const again = previous(target, program);
    const same = again !== undefined && again.index.cards === old.index.cards;
    again?.index.close();
    if (same) {
      old.index.close();
      return made.built;
    }
    rmSync(target, { force: true });
  }
  const draft = `${place}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(draft, made.octets(program), { mode: 0o600 });
    publish(draft, target);
    renameSync(draft, place);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    old?.index.close();
  }
  return made.built;
}

/** Another name for a file, which stays when the first one is given to another; a copy across file systems. */
function publish(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

interface Previous {
  index: OpenIndex;
  sources: Sources;
  cards: Card[];
}

/** What was made before; undefined if there is nothing, or nothing that can be used. */
function previous(path: string, program: string): Previous | undefined {
  let index: OpenIndex | undefined;
  try {
    index = new OpenIndex(path);
    const sources: Sources = JSON.parse(index.sources);
    if (sources.program === program) return { index, sources, cards: JSON.parse(index.cards).cards };
  } catch {
    // not there, cut, or of another form: it is made anew
  }
  index?.close();
  return undefined;
}

class IndexWriter {
  readonly #old: Previous | undefined;
  readonly #files: Sources['files'] = {};
  readonly #cards: Card[] = [];
  readonly #octets: Buffer[] = [];
  readonly #byThumbprint = new Map<string, number>();
  readonly #partners: Record<string, OfPartner> = {};
  readonly #now: number;
  #oldOctets: Buffer | undefined;
  #length = 0;
  readonly built: BuiltIndex = { read: 0, kept: 0 };

  constructor(old: Previous | undefined, now: number) {
    this.#old = old;
    this.#now = now;
  }

  add(partner: PartnerConfig, at: readonly (string | number)[], reader: KeyReader): void {
    const numbers = partner.certificates.flatMap(({ file }, entry) =>
      this.#cardsOf(file, [...at, entry], reader).map((card): [number, number] => [entry, card]),
    );
    const isAuthority = this.#authoritiesAmong(numbers.map(([, card]) => card));
    this.#partners[partner.name] = {
      own: numbers.filter(([, card]) => !isAuthority(card)),
      authorities: numbers.map(([, card]) => card).filter(isAuthority),
    };
  }

  /** Numbers of the cards of a file. */
  #cardsOf(file: string, at: readonly (string | number)[], reader: KeyReader): number[] {
    const done = Object.hasOwn(this.#files, file) ? this.#files[file] : undefined;
    if (done !== undefined) return done.cards;
    // Before it is read: a change after that is seen the next time.
    const found = stateOf(file);
    const before = this.#old?.sources;
    const kept = before && isUnchanged(before, file, found) ? before.files[file] : undefined;
    let cards: number[];
    if (kept !== undefined) {
      this.built.kept += 1;
      cards = kept.cards.map((number) => this.#take(number));
    } else {
      this.built.read += 1;
      cards = reader.certificates(at, file).map((each) => this.#put(each));
    }
    this.#files[file] = { state: found?.state ?? '', cards };
    return cards;
  }

  /** A card of the index before. */
  #take(number: number): number {
    const card = this.#old?.cards[number];
    if (this.#old === undefined || card === undefined) throw new SyntaxError('a card is missing');
    const known = this.#byThumbprint.get(card.thumbprint);
    if (known !== undefined) return known;
    this.#oldOctets ??= this.#old.index.octets(0, this.#old.index.size);
    return this.#add(card, this.#oldOctets.subarray(card.at, card.at + card.length));
  }

  #put(certificate: Certificate): number {
    const known = this.#byThumbprint.get(certificate.thumbprint);
    if (known !== undefined) return known;
    const { thumbprint, der, notBefore, notAfter, basicConstraints } = certificate;
    const facts = {
      from: notBefore.getTime(),
      until: notAfter.getTime(),
      words: wordsOf(certificate),
      key: keyDigest(certificate),
    };
    const fits = (['encrypt', 'sign'] as const).filter((use) => unusableFor(certificate, use) === undefined);
    return this.#add({ thumbprint, ...facts, fits, ca: basicConstraints?.ca === true }, der);
  }

  #add(card: Omit<Card, 'at' | 'length'>, der: Buffer): number {
    const { thumbprint, from, until, words, key, fits, ca } = card;
    const number = this.#cards.length;
    this.#cards.push({ thumbprint, at: this.#length, length: der.length, from, until, words, key, fits, ca });
    this.#octets.push(der);
    this.#length += der.length;
    this.#byThumbprint.set(thumbprint, number);
    return number;
  }

  /** Of the certificates of one partner, those of authorities. They are parsed only if one says that it is such. */
  #authoritiesAmong(numbers: readonly number[]): (card: number) => boolean {
    if (!numbers.some((number) => this.#cards[number]?.ca)) return () => false;
    const distinct = [...new Set(numbers)];
    const certificates = distinct.map((number) => new Certificate(this.#octets[number] ?? Buffer.alloc(0)));
    const { own } = splitAuthorities(certificates);
    const ofOthers = new Set(
      distinct.filter((_, index) => {
        const certificate = certificates[index];
        return certificate !== undefined && !own.has(certificate);
      }),
    );
    return (card) => ofOthers.has(card);
  }

  #cardsText(): string {
    const cards: Cards = { cards: this.#cards, partners: this.#partners };
    return JSON.stringify(cards);
  }

  /** Whether an index has the same certificates, for the same partners, of files that were not read again. */
  isSame(old: OpenIndex): boolean {
    return this.built.read === 0 && old.cards === this.#cardsText();
  }

  octets(program: string): Buffer {
    const sources: Sources = { program, at: this.#now, files: this.#files };
    const parts = [Buffer.from(JSON.stringify(sources)), Buffer.from(this.#cardsText())];
    const lengths = [...parts.map(({ length }) => length), this.#length];
    return Buffer.concat([Buffer.from(`${JSON.stringify(lengths)}\n`), ...parts, ...this.#octets]);
  }
}
