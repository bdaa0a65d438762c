import { SealpostError } from './errors.ts';

/*
 * What one message may cost. Limits per item (so many signers, so many certificates) multiply. So there is one budget
 * that every layer, signer, certificate, recipient, part and name draws from.
 */

/** What a message may cost; see `limits.work` and `limits.output` of the settings. */
export interface BudgetLimits {
  /** Units of work that every message has, and as many again for each `OCTETS_PER_WORK` octets of it. */
  readonly work: number;
  /** Octets that every message may expand to, plus `OUTPUT_PER_OCTET` for each octet of it. */
  readonly output: number;
}

export const defaultBudget: BudgetLimits = { work: 1_000_000, output: 16 << 20 };

/** A message of this size has twice the budget of an empty one. */
export const OCTETS_PER_WORK = 5 << 20;
/** Text compresses to a tenth, wide XML to a thirtieth; a bomb to a thousandth. */
export const OUTPUT_PER_OCTET = 32;

const unknownBits = 4096;

/**
 * What operations cost. A unit is about a microsecond of a core of 2 to 3 GHz with OpenSSL 3.5; the figures are above
 * what was measured (`bench/worst-cost.ts`), because a budget that counts too little protects nothing. They are
 * constants and use no clock, so a message is refused on every machine or on none.
 */
export const costs = {
  /** An octet of the message, counted on arrival and again in each layer: MIME, base64, BER. */
  octet: 0.008,
  /** Setting up a layer or a piece. */
  layer: 100,
  /** The header of a part: its fields are found, and parameters are parsed, possibly more than once. */
  header: (octets: number, withParameters: number): number => octets * 0.15 + withParameters * 0.8,
  /** An octet that is searched for delimiters, once for each multipart around it. */
  searchedOctet: 0.001,
  /** The start of a part in a multipart: its stages are set up, and when encoding it is written again. */
  part: 20,
  /** A header block: its fields are found, and encoded words and parameters are decoded, each in its charset. */
  headerBlock: (octets: number, coded: number): number => 10 + octets * 0.1 + coded * 25,
  /** An octet through a transfer encoding that is read octet by octet. */
  transferOctet: (encoding: string): number => transferCosts[encoding] ?? 0.15,
  /** Text for people through mailparser: per octet, per line, and per part, which has a stream of its own. */
  text: (octets: number, lines: number): number => 500 + octets * 0.12 + lines * 0.4,
  /** An octet that is written into JSON, or as base64 for it. */
  jsonOctet: 0.01,
  /** An octet of a mail that is signed, encrypted or compressed; each layer writes it once more, as base64. */
  encodedOctet: 0.012,
  /** An octet into zlib, which is the slower direction. */
  deflatedOctet: 0.05,
  /** An octet out of zlib, with its checksum. */
  inflatedOctet: 0.015,
  /** An octet of content through a digest; several digests add up. */
  digestOctet: (name: string): number => digestCosts[name] ?? 0.009,
  /** An octet deciphered or enciphered, by the family of the cipher. */
  cipherOctet: (family: string): number => cipherCosts[family] ?? 0.06,
  /** A certificate read, with its names, extensions and thumbprint. Each part is decoded once. */
  certificate: (octets: number): number => 60 + octets * 0.15,
  /** A list of revocations parsed. */
  crl: (octets: number): number => 60 + octets * 0.15,
  /** A name that is read, normalized for comparison and printed. */
  name: (octets: number): number => 5 + octets * 0.2,
  /** An element of ASN.1 parsed in memory. */
  element: 0.5,
  /** An element that is encoded again and sorted into a SET; its octets are copied at each level. */
  elementAnew: (octets: number): number => 3 + octets * 0.02,
  /** A comparison: a certificate with an identifier, a name with a constraint. */
  comparison: 0.3,
  /** An attribute of a signer, a recipient's structure. */
  attribute: (octets: number): number => 2 + octets * 0.05,
  /** An entry of the verdict and an octet of its text. */
  entry: 10,
  /** A step of the search for a path. */
  pathStep: 5,
  /** One iteration of PBKDF2, for one block of the key. */
  derivation: (digest: string): number => (digest === 'sha384' || digest === 'sha512' ? 1.1 : 0.45),
  /** Setting up any key. */
  key: 120,
  rsaPublic: (bits: number, exponentBits: number): number => 60 + bits ** 2 * exponentBits * 4.5e-7,
  rsaPrivate: (bits: number): number => 300 + bits ** 3 * 1.1e-7,
  dsa: (bits: number): number => 150 + bits ** 2 * 256 * 6e-7,
  /** A modular exponentiation with modulus and exponent of this size. */
  diffieHellman: (bits: number): number => 300 + bits ** 3 * 4e-7,
  /** A multiplication on a curve, including the slow (binary) ones. */
  curve: (bits: number): number => 150 + bits ** 3 * 3.2e-5,
  edwards: 400,
  lattice: 600,
} as const;

const transferCosts: Readonly<Record<string, number>> = {
  '7bit': 0,
  '8bit': 0,
  binary: 0,
  base64: 0.06,
  'quoted-printable': 0.08,
};

const digestCosts: Readonly<Record<string, number>> = {
  sha1: 0.001,
  sha224: 0.001,
  sha256: 0.001,
  sha384: 0.0025,
  sha512: 0.0025,
  md5: 0.0025,
};

const cipherCosts: Readonly<Record<string, number>> = {
  aes: 0.0025,
  chacha20: 0.0025,
  des3: 0.055,
  des: 0.055,
  camellia: 0.012,
  cast5: 0.013,
  rc2: 0.06,
};

/**
 * The budget of one message. It is made where the message comes in (decode, encode, hand-off, submission), and also
 * covers a second reading and the questions to authorities. Once it is used up, every further draw fails, so the work
 * ends soon even where an error is swallowed on the way.
 */
export class Budget {
  readonly #limits: BudgetLimits;
  #work: number;
  #output: number;
  #octets = 0;
  #spent = 0;
  #produced = 0;
  #exceeded: SealpostError | undefined;

  constructor(limits: Partial<BudgetLimits> = {}) {
    this.#limits = { ...defaultBudget, ...limits };
    this.#work = this.#limits.work;
    this.#output = this.#limits.output;
  }

  /** Reports how many octets have arrived: a larger message may cost more. A second reading adds nothing. */
  received(octets: number): void {
    if (octets <= this.#octets) return;
    this.#octets = octets;
    const { work, output } = this.#limits;
    this.#work = work * (1 + octets / OCTETS_PER_WORK);
    this.#output = output + octets * OUTPUT_PER_OCTET;
  }

  /** Work is about to be done. @throws SealpostError `work-limit`, before it is */
  spend(units: number): void {
    if (this.#exceeded !== undefined) throw this.#exceeded;
    this.#spent += units;
    if (this.#spent > this.#work) {
      this.#fail(
        'work-limit',
        `working on the message would take more than ${Math.floor(this.#work)} units; if it is genuine mail, raise limits.work`,
      );
    }
  }

  /** Octets are about to be produced that were not in the message. @throws SealpostError `output-limit` */
  produce(octets: number): void {
    if (this.#exceeded !== undefined) throw this.#exceeded;
    this.#produced += octets;
    if (this.#produced > this.#output) {
      this.#fail(
        'output-limit',
        `the message would become more than ${Math.floor(this.#output)} octets; if it is genuine mail, raise limits.output`,
      );
    }
  }

  /** The error after it was used up. */
  get exceeded(): SealpostError | undefined {
    return this.#exceeded;
  }

  /** Units of work so far. */
  get spent(): number {
    return this.#spent;
  }

  /** Octets so far. */
  get produced(): number {
    return this.#produced;
  }

  #fail(code: 'work-limit' | 'output-limit', message: string): never {
    this.#exceeded = new SealpostError(code, message);
    throw this.#exceeded;
  }
}

/** True for the error of a budget: it ends the whole message and must not be treated as a fault of one part. */
export function isExhaustion(error: unknown): boolean {
  return error instanceof SealpostError && (error.code === 'work-limit' || error.code === 'output-limit');
}

/** Cost of a public-key operation with a key of this kind and size. */
export function publicKeyCost(key: {
  family: string;
  bits: number | undefined;
  exponentBits?: number | undefined;
}): number {
  const bits = key.bits ?? unknownBits;
  switch (key.family) {
    case 'rsa':
      return costs.rsaPublic(bits, key.exponentBits ?? 64);
    case 'dsa':
      return costs.dsa(bits);
    case 'dh':
      return costs.diffieHellman(bits);
    case 'ec':
      return costs.curve(key.bits ?? 571);
    case 'okp':
      return costs.edwards;
    default:
      return costs.lattice;
  }
}
