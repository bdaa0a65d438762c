/** The parts of a step, in memory: what Redis and the spool do has tests of its own. */
import { createHash } from 'node:crypto';
import { readConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { SealpostError } from '../../src/errors.ts';
import type { Envelope, Facts, MessageState, Origin, Outcome } from '../../src/queue/index.ts';
import type { FinishedOctets, Spool, SpoolRef, SpoolWriter } from '../../src/spool/index.ts';

export const never = new AbortController().signal;
export const envelope: Envelope = { from: 'a@partner.example', to: ['edi@example.net'] };
export const origin: Origin = { kind: 'smtp', detail: { client: '192.0.2.1' } };

/** The configuration of a text in YAML. */
export function configOf(yaml: string): Config {
  const { config, problems } = readConfig(yaml, 'test.yaml');
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return config;
}

/** A spool that remembers; octets above the limit are `file`. */
export class MemorySpool implements Pick<Spool, 'create' | 'draft' | 'open' | 'read' | 'remove'> {
  readonly stored = new Map<string, Buffer>();
  /** Writers that have neither been finished nor aborted. */
  open_ = 0;
  aborted = 0;
  opened = 0;
  readonly #limit: number;

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  put(octets: Buffer): SpoolRef {
    const id = `o${this.stored.size}`;
    this.stored.set(id, octets);
    const sha256 = createHash('sha256').update(octets).digest('hex');
    return { kind: octets.length > this.#limit ? 'file' : 'inline', id, octets: octets.length, sha256 };
  }

  create(): SpoolWriter {
    const chunks: Buffer[] = [];
    let ended = false;
    this.open_ += 1;
    const end = () => {
      if (!ended) this.open_ -= 1;
      ended = true;
    };
    const finish = async (): Promise<FinishedOctets[]> => {
      end();
      return [{ ref: this.put(Buffer.concat(chunks)), sealed: null }];
    };
    return {
      write: (chunk) => void chunks.push(Buffer.from(chunk)),
      get octets() {
        return chunks.reduce((sum, { length }) => sum + length, 0);
      },
      get sha256() {
        return createHash('sha256').update(Buffer.concat(chunks)).digest('hex');
      },
      commit: async () => (await finish())[0]?.ref ?? this.put(Buffer.alloc(0)),
      finish,
      abort: async () => {
        if (!ended) this.aborted += 1;
        end();
      },
    };
  }

  draft(): SpoolWriter {
    return this.create();
  }

  async remove({ id }: SpoolRef): Promise<void> {
    this.stored.delete(id);
  }

  async *open(ref: SpoolRef): AsyncGenerator<Buffer> {
    this.opened += 1;
    const octets = await this.read(ref);
    for (let at = 0; at < octets.length; at += 500) yield octets.subarray(at, at + 500);
  }

  async read(ref: SpoolRef): Promise<Buffer> {
    const octets = this.stored.get(ref.id);
    if (octets === undefined) throw new SealpostError('spool-missing', `stored octets ${ref.id} are gone`);
    return octets;
  }
}

/** `Flow.fetch`, with the state that the ledger has. */
export const fetchFrom =
  (spool: MemorySpool, state: MessageState | null) => async (_id: string, refs: SpoolRef[]) => ({
    state,
    octets: refs.map((ref) => (ref.kind === 'file' ? null : (spool.stored.get(ref.id) ?? null))),
  });

/** What an outcome says, in short. */
export function kindOf(outcome: Outcome): string {
  if ('done' in outcome) return 'done';
  return 'retry' in outcome ? `retry ${outcome.retry}` : `suspend ${outcome.suspend}`;
}

export const messageOf = ({ facts }: { facts?: Facts }): string => String(facts?.message);
