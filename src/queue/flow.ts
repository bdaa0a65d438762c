/** The steps of a message between the queues. Each is one script, so a crash leaves it either done or not begun. */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import {
  type DurableWrites,
  type Ended,
  guarded,
  type Script,
  type ScriptArguments,
} from '../redis/index.ts';
import { carried } from '../spans.ts';
import type { FinishedOctets, SpoolRef, TieredSpool } from '../spool/index.ts';
import { inlineOctets, octetsToken } from './intake.ts';
import { type JobEnd, JobLost } from './job-end.ts';
import { messageOf, routeOf } from './jobs.ts';
import type { Keys } from './keys.ts';
import { auditLine, eventLine, parseRecord } from './ledger.ts';
import { replayArguments } from './replays.ts';
import { newNudge } from './retry.ts';
import { type Step, scripts } from './steps.ts';
import type { Subjects } from './subjects.ts';
import {
  type Act,
  type Attribution,
  type AuditEntry,
  type DecodedOutcome,
  type DecodedRefs,
  type Facts,
  type FailureJob,
  type Fetched,
  type Flow,
  type HandedOffOutcome,
  type HandoffJob,
  type Held,
  type InboundJob,
  isState,
  type Jobs,
  type LedgerEventType,
  type MessageRecord,
  type MessageState,
  type OutboundJob,
  type ReplayBudget,
  type WorkQueue,
} from './types.ts';

export interface FlowParts {
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  redis: Redis;
  keys: Keys;
  /**
   * For the steps: what follows one (the end of its job, removal of files) may reach another primary, which must have
   * the step by then.
   */
  writes: DurableWrites;
  spool: TieredSpool;
  subjects: Pick<Subjects, 'seal'>;
  /** Milliseconds for which the original of a delivered message is kept. */
  keepOriginal: number;
  /** Names of the mailboxes and partners whose suspended messages are reported. */
  reported: { inbound: ReadonlySet<string>; outbound: ReadonlySet<string> };
  /** Partners whose mail is sent in order, and stops at a message that is suspended. */
  stops: ReadonlySet<string>;
}

/** Milliseconds until a message is looked at again that has expired, and was not suspended. */
const lookAgain = 10_000;

/** The name of a suspended job in the record, because a message may have one for each destination. */
function workName(queue: WorkQueue, job: Jobs[WorkQueue]): string {
  return queue === 'handoff' && 'destination' in job ? `handoff.${job.destination}` : queue;
}

export class RedisFlow implements Flow {
  #parts: FlowParts;

  constructor(parts: FlowParts) {
    this.#parts = parts;
  }

  async fetch(id: string, refs: SpoolRef[], end?: JobEnd): Promise<Fetched> {
    const { redis, keys } = this.#parts;
    const came = end?.ahead();
    if (came && refs.every((ref) => ref.kind !== 'inline' || came.octets.has(ref.id))) {
      const sealed = refs.map((ref) => came.octets.get(ref.id) ?? null);
      return this.#fetched(refs, came.state, came.kept, sealed);
    }
    // one round trip: the connection sends together what is requested in one turn of the event loop
    const [[state, kept], ...values] = await guarded(
      'fetch',
      Promise.all([
        redis.hmget(keys.message(id), 's', 'k'),
        ...refs.map((ref) => (ref.kind === 'inline' ? redis.getBuffer(keys.octets(ref.id)) : null)),
      ]),
    );
    return this.#fetched(refs, state, kept, values);
  }

  #fetched(
    refs: SpoolRef[],
    state: string | null | undefined,
    kept: string | null | undefined,
    values: readonly (Buffer | null)[],
  ): Fetched {
    const octets = refs.map((ref, index) => {
      const sealed = values[index];
      return sealed ? this.#parts.spool.openInline(ref, sealed) : null;
    });
    // a job from before the message was restarted or decoded again has other octets, and nothing left to do
    const tokens = (kept ?? '').split(' ');
    const current = refs.every((ref) => tokens.includes(octetsToken(ref)));
    return { state: isState(state) && (current || isFinished(state)) ? state : null, octets };
  }

  async decoded(job: InboundJob, outcome: DecodedOutcome, end?: JobEnd): Promise<void> {
    const { spool } = this.#parts;
    const [content] = await outcome.content.finish();
    if (!content) throw new SealpostError('internal', 'the decoded content was not finished');
    const result = spool.sealInline(outcome.result);
    const pieces = outcome.pieces ?? [];
    const now = this.#parts.now();
    const args: (string | number | Buffer)[] = [
      now,
      job.id,
      eventLine({ type: 'decoded', at: now, facts: outcome.facts }),
      ...this.#attributed(job.id, outcome),
      octetsToken(content.ref),
      octetsToken(result.ref),
      JSON.stringify({ content: content.ref, result: result.ref }),
      [content, result, ...pieces].reduce((sum, { ref }) => sum + ref.octets, 0),
      octetsToken(job.octets),
      pieces.length,
      ...pieces.map(({ ref }) => octetsToken(ref)),
    ];
    for (const destination of outcome.destinations) {
      const handoff: HandoffJob = {
        ...messageOf(job),
        destination,
        original: job.octets,
        content: content.ref,
        result: result.ref,
        ...(job.again === undefined ? {} : { again: job.again }),
        ...carried(),
      };
      args.push(destination, JSON.stringify(handoff), routeOf('handoff', handoff));
    }
    const { reply } = await this.#step(scripts.decoded, args, end, [content, result, ...pieces]);
    // another process has decoded it (after a lost lock), or a person has ended it
    if (reply !== 0) return;
    for (const { ref } of [content, ...pieces]) if (ref.kind === 'file') await spool.remove(ref);
  }

  async handedOff(
    job: HandoffJob,
    facts: Facts,
    holdUntil = 0,
    end?: JobEnd,
  ): Promise<{ delivered: boolean }> {
    const now = this.#parts.now();
    const what = { destination: job.destination, ...facts };
    const args = [
      now,
      job.id,
      job.destination,
      eventLine({ type: 'handed-off', at: now, facts: what }),
      eventLine({ type: 'delivered', at: now, facts: {} }),
      this.#parts.keepOriginal,
      holdUntil,
      octetsToken(job.content),
      eventLine({ type: 'handed-off', at: now, facts: { ...what, late: true } }),
    ];
    return { delivered: (await this.#happened(scripts.handedOff, args, end)) === 1 };
  }

  async handedOffAtOnce(job: InboundJob, outcome: HandedOffOutcome, end?: JobEnd): Promise<void> {
    const now = this.#parts.now();
    const { destination, facts, decoded, job: queued } = outcome;
    const events = [
      eventLine({ type: 'decoded', at: now, facts: decoded }),
      eventLine({ type: 'handed-off', at: now, facts: { destination, ...facts } }),
      eventLine({ type: 'delivered', at: now, facts: {} }),
    ];
    const { keepOriginal } = this.#parts;
    const octets = octetsToken(job.octets);
    const from = this.#attributed(job.id, outcome);
    const args: ScriptArguments = [now, job.id, ...from, events.join('\n'), keepOriginal, octets];
    if (queued) {
      const { prefix, queue, name, data, id, options } = queued;
      args.push(`${prefix}:${queue}:`, name, data, id, JSON.stringify(options));
    }
    await this.#release(await this.#step(scripts.handedOffAtOnce, args, end));
  }

  async dropped(job: InboundJob, outcome: Parameters<Flow['dropped']>[1], end?: JobEnd): Promise<void> {
    const [now = 0, id = '', event = ''] = this.#event(job.id, outcome.event, outcome.facts);
    const args = [now, id, ...this.#attributed(job.id, outcome), event, octetsToken(job.octets)];
    await this.#release(await this.#step(scripts.dropped, args, end));
  }

  async attribute(id: string, from: Attribution): Promise<void> {
    await this.#run(scripts.attributed, [id, ...this.#attributed(id, from)]);
  }

  async contentOf(id: string): Promise<DecodedRefs | null> {
    const { redis, keys } = this.#parts;
    const refs = await guarded('flow', redis.hget(keys.message(id), 'c'));
    return refs === null ? null : JSON.parse(refs);
  }

  async sent(job: OutboundJob, facts: Facts, end?: JobEnd): Promise<void> {
    const late = eventLine({ type: 'sent', at: this.#parts.now(), facts: { ...facts, late: true } });
    const args = [...this.#event(job.id, 'sent', facts), octetsToken(job.octets), late];
    if (job.delivery?.notAfter !== undefined) args.push('1');
    await this.#happened(scripts.sent, args, end);
  }

  async suspend<N extends WorkQueue>(
    queue: N,
    job: Jobs[N],
    reason: string,
    facts: Facts = {},
    starts = 1,
    end?: JobEnd,
    from?: Attribution,
  ): Promise<void> {
    const work = workName(queue, job);
    const args = [
      ...this.#event(job.id, 'suspended', { reason, work, ...facts }),
      reason,
      work,
      queue,
      // when it is resumed, attempts and crashes are counted from zero
      JSON.stringify({ ...job, untried: undefined, alone: undefined, forgiven: undefined }),
      ...this.#report(job, { work, reason, facts, starts }),
      octetsToken('octets' in job ? job.octets : job.content),
      // a message that has expired will not be sent, so nobody has to wait for it
      reason === 'expired' || !('partner' in job && this.#parts.stops.has(job.partner)) ? '1' : '',
      ...(from ? this.#attributed(job.id, from) : ['-', '']),
    ];
    await this.#step(scripts.suspend, args, end);
  }

  async tendLines(): Promise<void> {
    await this.#run(scripts.tendLines, [this.#parts.now(), ...this.#parts.stops]);
  }

  async bringExpired(): Promise<void> {
    await this.#run(scripts.bringExpired, [this.#parts.now(), lookAgain]);
  }

  /** In the form that the script `attribute` takes. */
  #attributed(id: string, { partner, partnerBy, subject }: Attribution): [string, string] {
    const sealed = subject === undefined ? '' : `\n${this.#parts.subjects.seal(id, subject)}`;
    return [partner ?? '', `${partnerBy ?? ''}${sealed}`];
  }

  /** Job of the report without its turn, which the script knows, and its route; both '' if no report is wanted. */
  #report(
    job: Jobs[WorkQueue],
    what: Pick<FailureJob, 'work' | 'reason' | 'facts' | 'starts'>,
  ): [string, string] {
    const { direction } = job;
    const owner = direction === 'inbound' ? job.mailbox : job.partner;
    if (!this.#parts.reported[direction].has(owner)) return ['', ''];
    const report: Omit<FailureJob, 'turn'> = {
      id: job.id,
      direction,
      owner,
      ...what,
      suspendedAt: this.#parts.now(),
    };
    return [JSON.stringify(report), routeOf('failures', report)];
  }

  async decodeAgain(id: string, act: Act = nobody): Promise<void> {
    await this.#decodeAgain(id, act, []);
  }

  async replay(held: Held, keys: string, act: Act, budget: ReplayBudget | undefined) {
    const { id, direction } = held;
    const guard = replayArguments(held, keys, budget);
    const reply =
      direction === 'inbound'
        ? await this.#decodeAgain(id, act, guard)
        : await this.#run(scripts.replayResume, [...this.#act(id, 'resumed', 'resume', act), ...guard]);
    if (reply === -1) throw unknownMessage(id);
    if (reply === -6) return 'full';
    return reply === 1 ? 'released' : 'moved';
  }

  /** @param guard of `replaying`; empty for what a person names */
  async #decodeAgain(id: string, act: Act, guard: readonly (string | number)[]): Promise<unknown> {
    const { redis, keys } = this.#parts;
    const fields = await guarded('flow', redis.hgetall(keys.message(id)));
    const record = parseRecord(id, fields);
    if (!record) throw unknownMessage(id);
    if (record.direction !== 'inbound' || record.mailbox === null)
      throw new SealpostError('usage', `${id} is outbound: there is nothing to decode`);
    const octets = originalRef(record, fields.k);
    if (!octets) throw originalGone(id);
    const { mailbox, origin, envelope, messageId, receivedAt } = record;
    const before = fields.v ?? '0';
    // a message that was never decoded was never handed off
    const again = Number(before) + (fields['w:inbound'] === undefined ? 1 : 0);
    const job: InboundJob = {
      ...{ id, direction: 'inbound', mailbox, origin, envelope, messageId, receivedAt },
      octets,
    };
    if (again > 0) job.again = again;
    const args = [
      ...this.#act(id, 'decode-again', 'decode', act),
      octetsToken(octets),
      octets.octets,
      JSON.stringify(job),
      before,
      ...guard,
    ];
    const reply = await this.#run(guard.length > 0 ? scripts.replayDecode : scripts.redecode, args);
    const outcome = await this.#release({ reply, kept: true });
    if (outcome === -1) throw unknownMessage(id);
    if (outcome === -2) throw originalGone(id);
    if (outcome === -3 || outcome === -4)
      throw new SealpostError('message-busy', `a hand-off of ${id} is under way`, {
        hint: 'try again when it is delivered, or suspended for every destination that is left',
      });
    if (outcome === -5 || outcome === -6) return outcome;
    if (outcome !== 1)
      throw new SealpostError('usage', `${id} is ${record.state}: only a suspended or delivered message`);
    return outcome;
  }

  async originalOf(id: string): Promise<SpoolRef | null> {
    const { redis, keys } = this.#parts;
    const fields = await guarded('flow', redis.hgetall(keys.message(id)));
    const record = parseRecord(id, fields);
    if (!record) throw unknownMessage(id);
    const ref = originalRef(record, fields.k);
    if (!ref) return null;
    const key = ref.kind === 'inline' ? keys.octets(ref.id) : keys.fileOwners(ref.id);
    return (await guarded('flow', redis.exists(key))) === 1 ? ref : null;
  }

  async resume(id: string, act: Act = nobody): Promise<boolean> {
    const reply = await this.#run(scripts.resume, this.#act(id, 'resumed', 'resume', act));
    if (reply === -1) throw unknownMessage(id);
    return reply === 1;
  }

  async retry(id: string, act: Act = nobody): Promise<boolean> {
    const reply = await this.#run(scripts.retry, [...this.#act(id, 'retry-now', 'retry', act), newNudge()]);
    if (reply === -1) throw unknownMessage(id);
    return reply === 1;
  }

  async terminate(id: string, why: string, act: Act = nobody): Promise<boolean> {
    const args = this.#act(id, 'terminated', 'terminate', { ...act, why });
    const reply = await this.#run(scripts.terminate, args);
    const outcome = await this.#release({ reply, kept: true });
    if (outcome === -1) throw unknownMessage(id);
    return outcome === 1;
  }

  /** The first arguments of a script for an act of a person. */
  #act(id: string, type: LedgerEventType, what: AuditEntry['what'], act: Act): (string | number | Buffer)[] {
    const entry: AuditEntry = { at: this.#parts.now(), what, id, ...act };
    return [...this.#event(id, type, { ...act }), auditLine(entry)];
  }

  #event(id: string, type: LedgerEventType, facts: Facts): (string | number | Buffer)[] {
    const now = this.#parts.now();
    return [now, id, eventLine({ type, at: now, facts })];
  }

  async #run(script: Script, args: ScriptArguments, octets: FinishedOctets[] = []): Promise<unknown> {
    return await this.#parts.writes.run(script, args, 'flow', inlineOctets(octets));
  }

  async #step(
    step: Step,
    args: ScriptArguments,
    end: JobEnd | undefined,
    octets: FinishedOctets[] = [],
  ): Promise<Ended> {
    if (end) return await end.run(step, args, inlineOctets(octets));
    return { reply: await this.#run(step.alone, args, octets), kept: true };
  }

  /** A step about something that has happened outside. It is true even if the job belongs to another process by now. */
  async #happened(step: Step, args: ScriptArguments, end: JobEnd | undefined): Promise<unknown> {
    const ended = await this.#step(step, args, end).catch((error: unknown) => {
      if (!(error instanceof JobLost)) throw error;
      // otherwise, a process that has the job and has not begun would send it again
      return this.#step(step, args, undefined);
    });
    return await this.#release(ended);
  }

  /** Removes the files named in a script's reply after the outcome; returns the outcome. */
  async #release({ reply, kept }: Ended): Promise<unknown> {
    if (!Array.isArray(reply)) return reply;
    const [outcome, ...files]: unknown[] = reply;
    // A replica that takes over without the step needs them. What is left over is swept.
    if (kept) for (const id of files) await this.#parts.spool.removeFile(String(id));
    return outcome;
  }
}

function isFinished(state: MessageState): boolean {
  return state === 'delivered' || state === 'sent' || state === 'terminated';
}

/** For callers that are not people. */
const nobody: Act = { by: 'sealpost' };

/** The first octets of a record are the message as received. */
function originalRef({ octets, sha256 }: MessageRecord, tokens: string | undefined): SpoolRef | null {
  const match = /^([if]):(\w+)/.exec(tokens ?? '');
  if (!match?.[2]) return null;
  return { kind: match[1] === 'i' ? 'inline' : 'file', id: match[2], octets, sha256 };
}

function originalGone(id: string): SealpostError {
  return new SealpostError('original-gone', `the original octets of ${id} are no longer kept`, {
    hint: 'retention.original says how long they are kept after delivery',
  });
}

function unknownMessage(id: string): SealpostError {
  return new SealpostError('message-unknown', `there is no message ${id}`, {
    hint: 'see sealpost messages list',
  });
}
