/** Decodes messages: peels the S/MIME layers, judges the verdict by the mailbox's policy, queues the hand-off. */

import { type LoadedKeys, loadKeys } from '../src/config/keys.ts';
import type { Config, MailboxConfig } from '../src/config/schema.ts';
import { runRole } from '../src/daemon/role.ts';
import { headOctets } from '../src/handoff/index.ts';
import { HeaderSplitter, NullSink } from '../src/message/index.ts';
import { type Authorities, authoritiesOf } from '../src/partner/authorities.ts';
import { PartnerDirectory } from '../src/partner/directory.ts';
import { judge } from '../src/partner/policy.ts';
import type { Facts, InboundJob, JobOutcome, QueueRoom, SpoolWriter } from '../src/queue/index.ts';
import {
  createTrustCache,
  type DecodeOptions,
  decode,
  decodeReopenable,
  decodeSync,
  isSignatureLayer,
  type Verdict,
} from '../src/smime/index.ts';
import { PieceWriters } from './piece-writers.ts';
import { type DecodedHead, isWhole, messageLimitsOf, readSender } from './read-sender.ts';
import { writeResult } from './result.ts';
import { Turns } from './turns.ts';

await runRole('decrypt', async ({ config, queue }) => {
  const keys = loadKeys(config);
  const partners = new PartnerDirectory(config.partners, keys.partners);
  const optionsOf = decoderFor(config.limits, keys, authoritiesOf(config.trust));
  const large = new Turns(config.workers.large);
  const worker = queue.queues.createWorker(
    'inbound',
    async (job) => {
      const mailbox = config.mailboxes.find(({ name }) => name === job.mailbox);
      if (!mailbox) return { suspend: 'mailbox-unknown' };
      const { strong } = config;
      return work(job, { ...mailbox, strong }, { queue, partners, large, options: optionsOf(mailbox) });
    },
    { concurrency: config.workers.concurrency, suspectsAlone: true, local: true },
  );
  return { facts: { identities: keys.identities.length }, drain: (timeoutMs) => worker.close(timeoutMs) };
});

/** The options of the decoder for a mailbox; what does not depend on the message is made once. */
function decoderFor(
  limits: NonNullable<DecodeOptions['limits']>,
  keys: LoadedKeys,
  authorities: ((now: Date) => Authorities) | undefined,
) {
  const cache = createTrustCache();
  const made = new Map<string, Omit<DecodeOptions, 'at'>>();
  return (mailbox: MailboxConfig): DecodeOptions => {
    let options = made.get(mailbox.name);
    if (!options) {
      const own = keys.mailboxes.get(mailbox.name);
      options = {
        identities: own?.identities ?? [],
        trust: { ...(own?.trust ?? { anchors: [] }), cache },
        form: 'mail',
        limits,
      };
      made.set(mailbox.name, options);
    }
    const at = new Date();
    if (authorities === undefined) return { ...options, at };
    return { ...options, at, trust: { ...options.trust, ...authorities(at) } };
  };
}

interface Tools {
  queue: QueueRoom;
  partners: PartnerDirectory;
  large: Turns;
  options: DecodeOptions;
}

interface Decoded extends DecodedHead {
  content: SpoolWriter;
  /** Contents of S/MIME parts below the message, by their path in the verdict; what it has no content of is void. */
  pieces: PieceWriters;
  /** Why the decryption failed: for the ledger, which the operator alone reads, and for no log or destination. */
  detail: string | null;
}

async function work(
  job: InboundJob,
  mailbox: MailboxConfig & Pick<Config, 'strong'>,
  tools: Tools,
): Promise<JobOutcome> {
  const { queue, partners } = tools;
  const { state, octets } = await queue.flow.fetch(job.id, [job.octets]);
  // A repeated job whose work was done, or whose message a person has ended.
  if (state !== 'received') return { done: true };

  const [small] = octets;
  const decoded = small
    ? await decodeSmall(small, tools)
    : await tools.large.run(job.mailbox, () => decodeLarge(job, tools));
  const { content, pieces, header, detail } = decoded;
  const { verdict, headers, sender } = readSender(decoded, messageLimitsOf(tools.options), partners);
  const facts = factsOf(verdict);
  const judgement = judge(verdict, mailbox, sender, partners);
  if ('suspend' in judgement) {
    await Promise.all([content.abort(), pieces.abort()]);
    return { suspend: judgement.suspend, facts: { ...facts, message: judgement.message, detail } };
  }
  const stored = await pieces.finish(verdict).catch(async (error: unknown) => {
    await Promise.all([content.abort(), pieces.abort()]);
    throw error;
  });
  await queue.flow.decoded(job, {
    content,
    result: writeResult({
      verdict,
      header,
      whole: isWhole(verdict),
      headers,
      pieces: stored.pieces,
    }),
    pieces: stored.octets,
    destinations: mailbox.destinations.map(({ name, type }) => name ?? type),
    partner: sender.partner?.name ?? null,
    facts,
  });
  return { done: true };
}

async function decodeSmall(octets: Buffer, { queue, options }: Tools): Promise<Decoded> {
  // most messages need no promise for each of their pieces
  const { revocationCheck, issuerFetch } = options.trust;
  const asks = revocationCheck !== undefined || issuerFetch !== undefined;
  const { verdict, content, pieces, detail } = asks
    ? await decode(octets, options)
    : decodeSync(octets, options);
  const writer = queue.spool.create();
  if (content) void writer.write(content);
  const writers = new PieceWriters(queue.spool);
  for (const [path, piece] of pieces) await writers.open(path).write(piece);
  const taker = headerTaker(options);
  taker.write(octets);
  const head = content?.subarray(0, headOctets(messageLimitsOf(options))) ?? Buffer.alloc(0);
  return { verdict, content: writer, pieces: writers, head, header: taker.header(), detail };
}

async function decodeLarge(job: InboundJob, { queue, options }: Tools): Promise<Decoded> {
  let writer = queue.spool.create();
  const pieces = new PieceWriters(queue.spool);
  const taker = headerTaker(options);
  const limits = messageLimitsOf(options);
  let head: Buffer[] = [];
  let taken = 0;
  async function* open() {
    for await (const piece of queue.spool.open(job.octets)) {
      taker.write(piece);
      yield piece;
    }
  }
  try {
    const { verdict, detail } = await decodeReopenable(open, {
      ...options,
      output: {
        write: (chunk) => {
          const start = chunk.subarray(0, Math.max(0, headOctets(limits) - taken));
          if (start.length > 0) head.push(Buffer.from(start));
          taken += start.length;
          return writer.write(chunk);
        },
        restart: async () => {
          head = [];
          taken = 0;
          await Promise.all([writer.abort(), pieces.abort()]);
          writer = queue.spool.create();
        },
      },
      pieceOutput: ({ path }) => pieces.open(path),
    });
    return { verdict, content: writer, pieces, head: Buffer.concat(head), header: taker.header(), detail };
  } catch (error) {
    await Promise.all([writer.abort(), pieces.abort()]);
    throw error;
  }
}

/** Takes the header block from the pieces of a message; what is above the limit has failed to decode as well. */
function headerTaker(options: DecodeOptions): { write(piece: Buffer): void; header(): Buffer } {
  let found: Buffer | undefined;
  const splitter = new HeaderSplitter(({ raw }) => {
    found = raw;
    return new NullSink();
  }, messageLimitsOf(options));
  const attempt = (step: () => void) => {
    try {
      if (found === undefined) step();
    } catch {
      found = Buffer.alloc(0);
    }
  };
  return {
    write: (piece) => attempt(() => splitter.write(piece)),
    header() {
      attempt(() => splitter.end());
      return found ?? Buffer.alloc(0);
    },
  };
}

/** Thumbprints of the signers whose signature is valid. */
function signersOf(verdict: Verdict): string[] {
  return verdict.layers
    .filter(isSignatureLayer)
    .flatMap(({ signers }) => signers)
    .flatMap(({ valid, thumbprint }) => (valid && thumbprint ? [thumbprint] : []));
}

/** What the ledger keeps of a verdict: metadata that helps to find and to understand a message. */
function factsOf(verdict: Verdict): Facts {
  const keys = verdict.layers.flatMap((layer) =>
    'recipients' in layer
      ? layer.recipients.flatMap(({ matched }) => (matched ? [matched.thumbprint] : []))
      : [],
  );
  return {
    status: verdict.status,
    error: verdict.error?.code ?? null,
    encrypted: verdict.encrypted,
    signature: verdict.signature,
    integrity: verdict.integrity,
    layers: verdict.layers.map(({ type }) => type),
    decryptionThumbprint: keys[0] ?? null,
    signatureThumbprint: signersOf(verdict)[0] ?? null,
    partner: verdict.sender?.partner ?? null,
    sender: verdict.sender?.sender?.address ?? null,
  };
}
