/** Runs a message through the decoder, and its content into the spool. */
import type { LoadedKeys, MailboxConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { headOctets, type ListedPart, type LocalDraft, PartLister } from '../handoff/index.ts';
import type { Authorities } from '../partner/index.ts';
import {
  createTrustCache,
  type DecodedSigner,
  type DecodeOptions,
  decode,
  decodeReopenable,
  decodeSync,
} from '../smime/index.ts';
import type { Spool, SpoolWriter } from '../spool/index.ts';
import { type DecodedHead, messageLimitsOf } from './read-sender.ts';
import { PieceWriters } from './stored.ts';

export interface Decoded extends DecodedHead {
  /** The content of a small message; null if it has none, or if it goes into the spool. */
  small: Buffer | null;
  /** The content that goes into the spool. */
  content(): SpoolWriter;
  /**
   * Contents of S/MIME parts below the message, by their path in the verdict. Those without content in the verdict must
   * be discarded.
   */
  pieces: PieceWriters;
  /**
   * The parts of the content, if they were requested; undefined if they cannot be read. For `whole`, see `PartLister`.
   */
  parts(whole: boolean): readonly ListedPart[] | undefined;
  /** Why the decryption failed. Only for the ledger, which the operator reads, never for logs or destinations. */
  detail: string | null;
  /** The signers whose signatures are valid. */
  signers: readonly DecodedSigner[];
}

export interface DecoderParts {
  keys: Pick<LoadedKeys, 'mailboxes'>;
  /** The partners' certificates with which signatures are verified, from `pinsOf`. */
  pins: (at: Date) => NonNullable<DecodeOptions['trust']['pinned']>;
  /** What no path may lead through. It becomes a different object when it changes. */
  refused?: () => DecodeOptions['trust']['refused'];
  limits: NonNullable<DecodeOptions['limits']>;
  /** How authorities are asked; undefined if they are not. */
  authorities: ((now: Date) => Authorities) | undefined;
  now: () => Date;
}

/** The decoder options of a mailbox. What does not depend on the message is made once. */
export function decoderOptions(parts: DecoderParts): (mailbox: Pick<MailboxConfig, 'name'>) => DecodeOptions {
  const { keys, pins, refused: refusedNow, limits, authorities, now } = parts;
  const cache = createTrustCache();
  const made = new Map<string, Omit<DecodeOptions, 'at'>>();
  return ({ name }) => {
    const at = now();
    const pinned = pins(at);
    const refused = refusedNow?.();
    let options = made.get(name);
    // they change only when a certificate begins or ends, or when something was decided about one
    if (options?.trust.pinned !== pinned || options.trust.refused !== refused) options = undefined;
    if (!options) {
      const own = keys.mailboxes.get(name);
      options = {
        identities: own?.identities ?? [],
        trust: { ...(own?.trust ?? { anchors: [] }), pinned, refused, cache },
        form: 'mail',
        limits,
      };
      made.set(name, options);
    }
    if (authorities === undefined) return { ...options, at };
    return { ...options, at, trust: { ...options.trust, ...authorities(at) } };
  };
}

export async function decodeSmall(
  octets: Buffer,
  spool: Pick<Spool, 'create'>,
  options: DecodeOptions,
  listParts = false,
): Promise<Decoded> {
  // most messages do not need a promise per chunk
  const { revocationCheck, issuerFetch } = options.trust;
  const asks = revocationCheck !== undefined || issuerFetch !== undefined;
  const { verdict, content, embedded, header, detail, signers } = asks
    ? await decode(octets, options)
    : decodeSync(octets, options);
  const writers = new PieceWriters(spool);
  for (const [path, each] of embedded) await writers.open(path).write(each);
  const head = content?.subarray(0, headOctets(messageLimitsOf(options))) ?? Buffer.alloc(0);
  return {
    verdict,
    small: content ?? null,
    content() {
      const writer = spool.create();
      if (content) void writer.write(content);
      return writer;
    },
    pieces: writers,
    parts(whole) {
      if (!listParts || !content) return undefined;
      const lister = new PartLister(messageLimitsOf(options));
      lister.write(content);
      lister.end();
      return lister.parts(whole);
    },
    head,
    header: header ?? Buffer.alloc(0),
    detail,
    signers,
  };
}

/** Where the content of a large message goes: into the spool, or straight into the folder of its destination. */
interface LargeOutput {
  write(chunk: Buffer): Promise<void> | undefined | void;
  readonly sha256: string;
  restart(): Promise<void>;
  /** Does not throw. */
  abort(): Promise<void>;
}

class SpoolOutput implements LargeOutput {
  readonly #spool: Pick<Spool, 'create'>;
  writer: SpoolWriter;

  constructor(spool: Pick<Spool, 'create'>) {
    this.#spool = spool;
    this.writer = spool.create();
  }

  write(chunk: Buffer): Promise<void> | void {
    return this.writer.write(chunk);
  }

  get sha256(): string {
    return this.writer.sha256;
  }

  async restart(): Promise<void> {
    await this.writer.abort();
    this.writer = this.#spool.create();
  }

  async abort(): Promise<void> {
    await this.writer.abort();
  }
}

/**
 * Decodes into a folder. Its caller removes the draft, whatever happens. If the draft has failed, the message must be
 * decoded again with `decodeLarge`. So must a message with S/MIME parts below it, which are stored separately.
 */
export async function decodeToDraft(
  source: () => AsyncIterable<Buffer>,
  draft: LocalDraft,
  options: DecodeOptions,
  listParts = false,
): Promise<Decoded> {
  async function* seen() {
    for await (const chunk of source()) {
      draft.see(chunk);
      yield chunk;
    }
  }
  const output = {
    write: (chunk: Buffer) => draft.write(chunk),
    get sha256() {
      return draft.sha256;
    },
    restart: () => draft.restart(),
    abort: () => draft.remove(),
  };
  const notStored = () => {
    throw new SealpostError('internal', 'what goes into a folder is not in the spool');
  };
  const pieces = new PieceWriters({ create: () => draft.refuse() });
  return await decodeInto(seen, output, pieces, notStored, options, listParts);
}

/** @param source the octets of the message; opened again if the decoder needs a second pass */
export async function decodeLarge(
  source: () => AsyncIterable<Buffer>,
  spool: Pick<Spool, 'create'>,
  options: DecodeOptions,
  listParts = false,
): Promise<Decoded> {
  const output = new SpoolOutput(spool);
  const content = () => output.writer;
  return await decodeInto(source, output, new PieceWriters(spool), content, options, listParts);
}

async function decodeInto(
  source: () => AsyncIterable<Buffer>,
  output: LargeOutput,
  pieces: PieceWriters,
  content: Decoded['content'],
  options: DecodeOptions,
  listParts: boolean,
): Promise<Decoded> {
  const newLister = () => (listParts ? new PartLister(messageLimitsOf(options)) : undefined);
  let lister = newLister();
  const limits = messageLimitsOf(options);
  let head: Buffer[] = [];
  let taken = 0;
  try {
    const { verdict, header, detail, signers } = await decodeReopenable(source, {
      ...options,
      // the spool computes it anyway
      contentDigest: false,
      output: {
        write: (chunk) => {
          const start = chunk.subarray(0, Math.max(0, headOctets(limits) - taken));
          if (start.length > 0) head.push(Buffer.from(start));
          taken += start.length;
          lister?.write(chunk);
          return output.write(chunk) ?? undefined;
        },
        restart: async () => {
          head = [];
          taken = 0;
          lister = newLister();
          await Promise.all([output.restart(), pieces.abort()]);
        },
      },
      embeddedOutput: ({ path }) => pieces.open(path),
    });
    const { content: described } = verdict;
    lister?.end();
    return {
      verdict:
        described === null ? verdict : { ...verdict, content: { ...described, sha256: output.sha256 } },
      small: null,
      content,
      parts: (whole) => lister?.parts(whole),
      pieces,
      head: Buffer.concat(head),
      header: header ?? Buffer.alloc(0),
      detail,
      signers,
    };
  } catch (error) {
    await Promise.all([output.abort(), pieces.abort()]);
    throw error;
  }
}
