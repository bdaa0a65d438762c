/**
 * The certificates of all partners in one file. Reading 30,000 of them from as many files and parsing them takes many
 * seconds, and 130 MB in each process. So the supervisor reads the files once. The roles read cards (by what a
 * certificate is found, and when it is valid), and parse a certificate when it is first used. Only files that have
 * changed are read again.
 *
 * The file begins with a line that holds the lengths of its parts: what it was made from and whose the cards are
 * (JSON), the cards, and the octets of the certificates. It is in the data folder, which only this user can write to. A
 * certificate that does not match its card is not used.
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
import { type Card, CardRows, rowsOf } from './certificate-cards.ts';
import { racyMs, stateOf } from './kept-partners.ts';
import type { KeyReader } from './key-reader.ts';
import { type ConfiguredCertificate, splitAuthorities } from './partner-certificates.ts';
import type { Config, PartnerConfig } from './schema.ts';

/** Numbers of cards. In `own`, each is preceded by the entry of `partners[].certificates`: entry, card, entry, card. */
interface OfPartner {
  own: number[];
  authorities: number[];
}

interface Sources {
  program: string;
  /** When the files were looked at. */
  at: number;
  /** A digest of the partners' names and of what they name, in order. */
  of: string;
  files: Record<string, { state: string; cards: number[] }>;
}

type Partners = Record<string, OfPartner>;

/** Parsed certificates that a process keeps: about 10 MB. */
const mostParsed = 2000;

/** An open index. Its octets stay readable when the file is replaced. */
class OpenIndex {
  readonly #handle: number;
  /** Where each part begins, and the end. */
  readonly #starts: readonly number[];

  /** Errors: system errors; a JSON error for a file that is not an index. */
  constructor(path: string) {
    this.#handle = openSync(path, 'r');
    const { size } = fstatSync(this.#handle);
    const head = this.#read(0, Math.min(size, 64)).toString('latin1');
    const end = head.indexOf('\n');
    const lengths: unknown = JSON.parse(head.slice(0, end));
    if (!Array.isArray(lengths) || lengths.length !== 4) throw new SyntaxError('not an index');
    let at = end + 1;
    this.#starts = [at, ...lengths.map((length) => (at += Number(length)))];
    if (size !== at) throw new SyntaxError('the index is cut');
  }

  #part(number: number): Buffer {
    const [from = 0, to = 0] = this.#starts.slice(number);
    return this.#read(from, to - from);
  }

  sourcesText(): Buffer {
    return this.#part(0);
  }

  sources(): Sources {
    return JSON.parse(this.sourcesText().toString());
  }

  partners(): Buffer {
    return this.#part(1);
  }

  rows(): Buffer {
    return this.#part(2);
  }

  /** Octets of a certificate; without a place, those of all certificates. */
  octets(place?: { at: number; length: number }): Buffer {
    return place === undefined ? this.#part(3) : this.#read((this.#starts[3] ?? 0) + place.at, place.length);
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

/** What a process has of an index. */
class ReadIndex {
  readonly #index: OpenIndex;
  readonly rows: CardRows;
  readonly #parsed = new LRUCache<number, Certificate>({ max: mostParsed });

  constructor(index: OpenIndex) {
    this.#index = index;
    this.rows = new CardRows(index.rows());
  }

  /** Errors: `certificate-malformed` if the octets are not those of the card. */
  parse(number: number): Certificate {
    let certificate = this.#parsed.get(number);
    if (certificate === undefined) {
      certificate = this.read(number);
      this.#parsed.set(number, certificate);
    }
    return certificate;
  }

  /** Like `parse`, for a certificate that is kept elsewhere. */
  read(number: number): Certificate {
    const octets = this.#index.octets(this.rows.place(number));
    if (createHash('sha256').update(octets).digest('hex') !== this.rows.thumbprint(number))
      throw new SealpostError('certificate-malformed', 'the index of certificates is damaged', {
        hint: 'restart the daemon: it is made anew',
      });
    return new Certificate(octets);
  }
}

/** A certificate of a partner, parsed when it is first used. */
class IndexedCertificate implements ConfiguredCertificate {
  readonly source = 'configuration';
  readonly thumbprint: string;
  readonly entry: number;
  readonly #written: PartnerConfig['certificates'][number];
  readonly #number: number;
  readonly #index: ReadIndex;

  constructor(
    written: PartnerConfig['certificates'][number],
    entry: number,
    number: number,
    index: ReadIndex,
  ) {
    this.thumbprint = index.rows.thumbprint(number);
    this.entry = entry;
    this.#written = written;
    this.#number = number;
    this.#index = index;
  }

  get file(): string {
    return this.#written.file;
  }

  get confirmed(): boolean {
    return this.#written.confirmed;
  }

  get use(): ConfiguredCertificate['use'] {
    return this.#written.use;
  }

  get from(): Date | undefined {
    const { from } = this.#written;
    return from === undefined ? undefined : new Date(from);
  }

  get until(): Date | undefined {
    const { until } = this.#written;
    return until === undefined ? undefined : new Date(until);
  }

  get keyDigest(): string {
    return this.#index.rows.key(this.#number);
  }

  get fits(): Card['fits'] {
    return this.#index.rows.fits(this.#number);
  }

  get numbers(): Card['numbers'] {
    return this.#index.rows.numbers(this.#number);
  }

  get words(): readonly string[] {
    return this.#index.rows.words(this.#number);
  }

  get validity(): { notBefore: Date; notAfter: Date } {
    const { from, until } = this.#index.rows.validity(this.#number);
    return { notBefore: new Date(from), notAfter: new Date(until) };
  }

  get certificate(): Certificate {
    return this.#index.parse(this.#number);
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
 * @returns undefined if the index does not belong to these partners
 */
export function openPartners(path: string, config: Config): IndexedPartners | undefined {
  if (!existsSync(path)) return undefined;
  const open = new OpenIndex(path);
  const index = new ReadIndex(open);
  const partners: Partners = JSON.parse(open.partners().toString());
  const found = new Map<string, readonly ConfiguredCertificate[]>();
  const issuers = new Set<number>();
  for (const { name, certificates } of config.partners) {
    const of = Object.hasOwn(partners, name) ? partners[name] : undefined;
    if (of === undefined) return undefined;
    const own: ConfiguredCertificate[] = [];
    for (const [entry, number] of pairsOf(of.own)) {
      const written = certificates[entry];
      if (written !== undefined && number < index.rows.count)
        own.push(new IndexedCertificate(written, entry, number, index));
    }
    found.set(name, own);
    for (const number of of.authorities) if (number < index.rows.count) issuers.add(number);
  }
  return { partners: found, authorities: [...issuers].map((number) => index.read(number)) };
}

function* pairsOf(numbers: readonly number[]): Generator<readonly [number, number]> {
  for (let at = 0; at + 1 < numbers.length; at += 2) yield [numbers[at] ?? 0, numbers[at + 1] ?? 0];
}

/**
 * Tells whether a file is unchanged since an index was made; undefined for a file that the index was not made from.
 *
 * @returns undefined if there is no index, or if another program made it
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
 * Makes the index of a configuration at `target`, reusing what it can from the one in the data folder, and keeps it
 * there for the next time. Problems with files go to the reader, and then no index is made.
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
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  rmSync(target, { force: true });
  const of = nameOfPartners(config);
  if (old !== undefined && old.sources.of === of && allUnchanged(old.sources)) {
    publish(place, target);
    // another process may have replaced it since it was opened
    if (isSame(old.index, target)) {
      old.index.close();
      return { read: 0, kept: Object.keys(old.sources.files).length };
    }
    rmSync(target, { force: true });
  }
  const made = new IndexWriter(old, of, now);
  config.partners.forEach((partner, index) => {
    made.add(partner, ['partners', index, 'certificates'], reader);
  });
  if (reader.problems.length > 0) {
    old?.index.close();
    return made.built;
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

/**
 * Another name for a file, which keeps its content when the first name is given to another file. Across file systems, a
 * copy.
 */
function publish(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

/** Changes with everything that an index is made from, apart from the files themselves. */
function nameOfPartners({ partners }: Config): string {
  const hash = createHash('sha256');
  for (const { name, certificates } of partners)
    hash.update(JSON.stringify([name, certificates.map(({ file }) => file)]));
  return hash.digest('base64');
}

const allUnchanged = (sources: Sources) =>
  Object.keys(sources.files).every((file) => isUnchanged(sources, file, stateOf(file)));

/** Whether a file is the one that is open. */
function isSame(open: OpenIndex, path: string): boolean {
  let other: OpenIndex | undefined;
  try {
    other = new OpenIndex(path);
    return other.sourcesText().equals(open.sourcesText());
  } catch {
    return false;
  } finally {
    other?.close();
  }
}

interface Previous {
  index: OpenIndex;
  sources: Sources;
}

/** What was made before; undefined if there is nothing usable. */
function previous(path: string, program: string): Previous | undefined {
  let index: OpenIndex | undefined;
  try {
    index = new OpenIndex(path);
    const sources = index.sources();
    if (sources.program === program) return { index, sources };
  } catch {
    // missing, truncated, or of another format, so it is made anew
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
  readonly #partners: Partners = {};
  readonly #of: string;
  readonly #now: number;
  #oldParts: { rows: CardRows; octets: Buffer } | undefined;
  #length = 0;
  readonly built: BuiltIndex = { read: 0, kept: 0 };

  constructor(old: Previous | undefined, of: string, now: number) {
    this.#old = old;
    this.#of = of;
    this.#now = now;
  }

  add(partner: PartnerConfig, at: readonly (string | number)[], reader: KeyReader): void {
    const numbers = partner.certificates.flatMap(({ file }, entry) =>
      this.#cardsOf(file, [...at, entry], reader).map((card): [number, number] => [entry, card]),
    );
    const isAuthority = this.#authoritiesAmong(numbers.map(([, card]) => card));
    this.#partners[partner.name] = {
      own: numbers.filter(([, card]) => !isAuthority(card)).flat(),
      authorities: numbers.map(([, card]) => card).filter(isAuthority),
    };
  }

  /** Numbers of the cards of a file. */
  #cardsOf(file: string, at: readonly (string | number)[], reader: KeyReader): number[] {
    const done = Object.hasOwn(this.#files, file) ? this.#files[file] : undefined;
    if (done !== undefined) return done.cards;
    // taken before the file is read, so that a change after that is seen the next time
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

  /** A card of the previous index. */
  #take(number: number): number {
    if (this.#old === undefined) throw new SyntaxError('there is no index before');
    const { index } = this.#old;
    this.#oldParts ??= { rows: new CardRows(index.rows()), octets: index.octets() };
    const { rows, octets } = this.#oldParts;
    const card = rows.card(number);
    if (card === undefined) throw new SyntaxError('a card is missing');
    const known = this.#byThumbprint.get(card.thumbprint);
    if (known !== undefined) return known;
    return this.#add(card, octets.subarray(card.at, card.at + card.length));
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
      numbers: { sha1: certificate.thumbprintSha1, serial: certificate.serialHex },
    };
    const fits = (['encrypt', 'sign'] as const).filter((use) => unusableFor(certificate, use) === undefined);
    return this.#add({ thumbprint, ...facts, fits, ca: basicConstraints?.ca === true }, der);
  }

  #add(card: Omit<Card, 'at' | 'length'>, der: Buffer): number {
    const number = this.#cards.length;
    this.#cards.push({ ...card, at: this.#length, length: der.length });
    this.#octets.push(der);
    this.#length += der.length;
    this.#byThumbprint.set(card.thumbprint, number);
    return number;
  }

  /**
   * The authorities among the certificates of one partner. They are parsed only if one says that it is an authority's.
   */
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

  octets(program: string): Buffer {
    const sources: Sources = { program, at: this.#now, of: this.#of, files: this.#files };
    const parts = [
      Buffer.from(JSON.stringify(sources)),
      Buffer.from(JSON.stringify(this.#partners)),
      rowsOf(this.#cards),
    ];
    const lengths = [...parts.map(({ length }) => length), this.#length];
    return Buffer.concat([Buffer.from(`${JSON.stringify(lengths)}\n`), ...parts, ...this.#octets]);
  }
}
