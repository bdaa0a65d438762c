/**
 * What is known about certificates without parsing them, in the form in which their index stores it. As objects, 30,000
 * of them take 20 MB in each process, and five times as long to read as these rows of octets.
 */

/** What is known about a certificate without parsing it. */
export interface Card {
  /** SHA-256 in hexadecimal. */
  thumbprint: string;
  /** Offset of its octets in the index, and their number. */
  at: number;
  length: number;
  /** Validity in milliseconds since the epoch. */
  from: number;
  until: number;
  /** The words by which it is found (`pki/lookup.ts`), three at most. */
  words: string[];
  /** `keyDigest` of its key. */
  key: string;
  /** SHA-1 and serial number in hexadecimal; undefined if the serial number is longer than the standard allows. */
  numbers: { sha1: string; serial: string } | undefined;
  /** What its key and keyUsage allow. */
  fits: ('encrypt' | 'sign')[];
  /** Whether it says that it belongs to an authority. */
  ca: boolean;
}

/** Length of a word: 16 characters of base64. */
const wordOctets = 12;
const mostWords = 3;
/** Octets of a serial number. RFC 5280 section 4.1.2.2 allows 20, and some have a leading zero. */
const mostSerial = 21;
const rowOctets = 32 + 32 + 8 * 4 + 2 + mostWords * wordOctets + 20 + 1 + mostSerial;
const bits = { encrypt: 1, sign: 2, ca: 4 } as const;
const fitLists: Readonly<Record<number, Card['fits']>> = {
  0: [],
  1: ['encrypt'],
  2: ['sign'],
  3: ['encrypt', 'sign'],
};

const places = { key: 32, at: 64, length: 72, from: 80, until: 88, flags: 96, words: 97, first: 98 };
const numberPlaces = { sha1: 134, serialLength: 154, serial: 155 };

/** Cards as rows of octets, accessed by number. */
export class CardRows {
  readonly #rows: Buffer;
  /** The thumbprints of all cards in one string, of which each is a slice. */
  readonly #hex: string;

  /** @throws {SyntaxError} if the last row is incomplete */
  constructor(rows: Buffer) {
    if (rows.length % rowOctets !== 0) throw new SyntaxError('a card is cut');
    this.#rows = rows;
    const thumbprints = Buffer.allocUnsafe(this.count * 32);
    for (let number = 0; number < this.count; number++) {
      const row = number * rowOctets;
      rows.copy(thumbprints, number * 32, row, row + 32);
    }
    this.#hex = thumbprints.toString('hex');
  }

  get count(): number {
    return this.#rows.length / rowOctets;
  }

  thumbprint(number: number): string {
    return this.#hex.slice(number * 64, number * 64 + 64);
  }

  key(number: number): string {
    const row = number * rowOctets + places.key;
    return this.#rows.toString('hex', row, row + 32);
  }

  numbers(number: number): Card['numbers'] {
    const row = number * rowOctets;
    const length = this.#rows[row + numberPlaces.serialLength] ?? 0;
    if (length > mostSerial) return undefined;
    const [sha1, serial] = [row + numberPlaces.sha1, row + numberPlaces.serial];
    return {
      sha1: this.#rows.toString('hex', sha1, sha1 + 20),
      serial: this.#rows.toString('hex', serial, serial + length),
    };
  }

  words(number: number): string[] {
    const row = number * rowOctets;
    return Array.from({ length: this.#rows[row + places.words] ?? 0 }, (_, index) => {
      const at = row + places.first + index * wordOctets;
      return this.#rows.toString('base64', at, at + wordOctets);
    });
  }

  fits(number: number): Card['fits'] {
    return fitLists[this.#flags(number) & 3] ?? [];
  }

  isAuthority(number: number): boolean {
    return (this.#flags(number) & bits.ca) !== 0;
  }

  /** Milliseconds since the epoch. */
  validity(number: number): { from: number; until: number } {
    return { from: this.#number(number, places.from), until: this.#number(number, places.until) };
  }

  /** Where its octets are. */
  place(number: number): { at: number; length: number } {
    return { at: this.#number(number, places.at), length: this.#number(number, places.length) };
  }

  /** Undefined if there is no card with that number. */
  card(number: number): Card | undefined {
    if (!(number >= 0 && number < this.count)) return undefined;
    const own = { thumbprint: this.thumbprint(number), key: this.key(number), words: this.words(number) };
    const numbers = this.numbers(number);
    const marks = { fits: this.fits(number), ca: this.isAuthority(number) };
    return { ...own, ...this.place(number), ...this.validity(number), numbers, ...marks };
  }

  #flags(number: number): number {
    return this.#rows[number * rowOctets + places.flags] ?? 0;
  }

  #number(number: number, place: number): number {
    return this.#rows.readDoubleBE(number * rowOctets + place);
  }
}

/** The rows of cards, in their order. */
export function rowsOf(cards: readonly Card[]): Buffer {
  const rows = Buffer.alloc(cards.length * rowOctets);
  cards.forEach(({ thumbprint, key, at, length, from, until, words, numbers, fits, ca }, number) => {
    const row = number * rowOctets;
    rows.write(thumbprint, row, 'hex');
    rows.write(key, row + places.key, 'hex');
    rows.writeDoubleBE(at, row + places.at);
    rows.writeDoubleBE(length, row + places.length);
    rows.writeDoubleBE(from, row + places.from);
    rows.writeDoubleBE(until, row + places.until);
    rows[row + places.flags] = fits.reduce((sum, use) => sum | bits[use], ca ? bits.ca : 0);
    const found = words.slice(0, mostWords);
    rows[row + places.words] = found.length;
    found.forEach((word, index) => {
      rows.write(word, row + places.first + index * wordOctets, 'base64');
    });
    const serial = Buffer.from(numbers?.serial ?? '', 'hex');
    if (numbers === undefined || serial.length > mostSerial) {
      rows[row + numberPlaces.serialLength] = 255;
      return;
    }
    rows.write(numbers.sha1, row + numberPlaces.sha1, 'hex');
    rows[row + numberPlaces.serialLength] = serial.length;
    serial.copy(rows, row + numberPlaces.serial);
  });
  return rows;
}
