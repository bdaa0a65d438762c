/** Runs the cases in both directions against each peer, and says for each what came of it and who said so. */
import {
  type Absent,
  type Artefact,
  type InteropCase,
  NotYetError,
  type Peer,
  PeerError,
} from '../support/peers/types.ts';
import { content, Setting } from './setting.ts';

/**
 * - `pass`: read, and the octets are the same.
 * - `fail`: a defect of ours. From a peer: we do not read what it wrote. To a peer: it reads others' messages of the
 *   case, but not ours.
 * - `not-yet`: our codec refuses with an explicit code.
 * - `not-offered`: our interface has no option to write it.
 * - `peer-cannot`: the peer has no option for it, refused to write it, or reads no messages of the case.
 */
export type Status = 'pass' | 'fail' | 'not-yet' | 'not-offered' | 'peer-cannot';

export interface Result {
  each: InteropCase;
  peer: string;
  direction: 'from' | 'to';
  status: Status;
  /** Empty for `pass`. */
  reason: string;
  /** What failed, for a reproduction. */
  message?: Artefact;
}

export interface Outcome {
  us: { name: string; version: string };
  peers: { name: string; version: string }[];
  absent: Absent[];
  results: Result[];
  seconds: number;
}

export interface RunOptions {
  /** Called after each case. */
  progress?: (done: number, all: number, each: InteropCase) => void;
  /** Ends the run after the case at hand, with the signal's reason. */
  signal?: AbortSignal;
}

/** Makes keys, starts the peers, runs the cases, removes everything again. */
export async function runMatrix(cases: readonly InteropCase[], options: RunOptions = {}): Promise<Outcome> {
  const start = performance.now();
  const setting = await Setting.start();
  const { us, peers, absent } = setting;
  try {
    const results: Result[] = [];
    for (const [index, each] of cases.entries()) {
      options.signal?.throwIfAborted();
      results.push(...(await runCase(each, us, peers)));
      options.progress?.(index + 1, cases.length, each);
    }
    return {
      us: { name: us.name, version: us.version },
      peers: peers.map(({ name, version }) => ({ name, version })),
      absent,
      results,
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    await setting.close();
  }
}

type Made = Artefact | Error | string;

/** The message, why the peer has no way to make it, or the error that it gave. */
async function make(peer: Peer, each: InteropCase): Promise<Made> {
  const can = peer.can(each, 'write');
  if (can !== true) return can;
  try {
    return await peer.write(each, content);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

async function runCase(each: InteropCase, us: Peer, peers: Peer[]): Promise<Result[]> {
  const ours = await make(us, each);
  const theirs = await Promise.all(peers.map((peer) => make(peer, each)));
  const results = await Promise.all(
    peers.map(async (peer, index) => [
      await fromPeer(each, us, peer, theirs[index] ?? 'nothing'),
      await toPeer(each, ours, peer, theirs),
    ]),
  );
  return results.flat();
}

async function fromPeer(each: InteropCase, us: Peer, peer: Peer, made: Made): Promise<Result> {
  const result = (status: Status, reason = '', message?: Artefact): Result => ({
    each,
    peer: peer.name,
    direction: 'from',
    status,
    reason,
    ...(message && { message }),
  });
  if (typeof made === 'string') return result('peer-cannot', made);
  if (made instanceof Error) {
    if (!(made instanceof PeerError)) throw made;
    return result('peer-cannot', made.message);
  }
  const can = us.can(each, 'read');
  if (can !== true) return result('not-yet', can);
  const reason = await readFault(us, each, made);
  if (reason === undefined) return result('pass');
  return result(reason instanceof NotYetError ? 'not-yet' : 'fail', reason.message, made);
}

async function toPeer(each: InteropCase, made: Made, peer: Peer, references: Made[]): Promise<Result> {
  const result = (status: Status, reason = '', message?: Artefact): Result => ({
    each,
    peer: peer.name,
    direction: 'to',
    status,
    reason,
    ...(message && { message }),
  });
  const can = peer.can(each, 'read');
  if (can !== true) return result('peer-cannot', can);
  if (typeof made === 'string') return result('not-offered', made);
  if (made instanceof Error) return result(made instanceof NotYetError ? 'not-yet' : 'fail', made.message);
  const fault = await readFault(peer, each, made);
  const deviation = each.deviations?.[peer.name];
  if (fault !== undefined && deviation !== undefined) return result('peer-cannot', deviation);
  if (fault === undefined) return result('pass');
  // whose fault is it? The peer has the case if it reads anybody's message of it, its own included
  for (const reference of references) {
    if (typeof reference === 'string' || reference instanceof Error) continue;
    if ((await readFault(peer, each, reference)) === undefined) return result('fail', fault.message, made);
  }
  return result('peer-cannot', fault.message);
}

/** Undefined if the reader returns the same octets. */
async function readFault(reader: Peer, each: InteropCase, message: Artefact): Promise<Error | undefined> {
  try {
    const got = await reader.read(each, message);
    if (got.equals(content)) return undefined;
    return new PeerError(`other octets: ${got.length} instead of ${content.length}`);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
