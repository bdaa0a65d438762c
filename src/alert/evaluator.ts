/**
 * Evaluates the rules at intervals. One process of an installation does it; the others stand by. The changes are
 * stored, and the channels announce them (`courier.ts`), so that a channel that hangs costs nothing here.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { factsOfCondition } from '../config/alert-conditions.ts';
import { type AlertRule, alertRulesOf } from '../config/alert-rules.ts';
import type { Config } from '../config/index.ts';
import { readHeartbeats, readMetrics, roleNames } from '../daemon/index.ts';
import { type Log, logRarely } from '../log.ts';
import { gauge } from '../metrics.ts';
import type { QueueRoom } from '../queue/index.ts';
import { AlertBook, type NewChange } from './book.ts';
import { FailureCounter } from './failures.ts';
import { alertId, type JudgeOptions, judge } from './judge.ts';
import { measures, type Sources } from './measures.ts';
import { isSilenced } from './silences.ts';
import type { AlertState, Sample, Silence } from './types.ts';

const firing = gauge('alerts_firing', 'Alerts that hold, by rule and severity.', ['rule', 'severity']);

/** The most alerts of one rule: the worst are kept. If there are more, one further alert says how many. */
const mostOfRule = 100;
/** Milliseconds between two checks whether another process has stopped. */
const standby = 10_000;
const measured = [
  'disk_free_octets',
  'disk_limit_octets',
  'redis_memory_octets',
  'redis_memory_limit_octets',
];

export interface EvaluatorParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
  now: () => number;
}

export class Evaluator {
  readonly #parts: EvaluatorParts;
  readonly #rules: readonly AlertRule[];
  readonly #book: AlertBook;
  readonly #failures: FailureCounter;
  readonly #owner = randomUUID();
  readonly #roleSeen = new Map<string, number>();
  /** The last values of conditions that are not measured in every round. */
  readonly #kept = new Map<string, { at: number; samples: Sample[] | null }>();
  #isMine = false;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();

  constructor(parts: EvaluatorParts) {
    this.#parts = parts;
    this.#rules = alertRulesOf(parts.config);
    this.#book = new AlertBook(parts.queue);
    this.#failures = new FailureCounter(this.#book);
  }

  /** Whether this process is the one that evaluates. */
  get isMine(): boolean {
    return this.#isMine;
  }

  start(): void {
    this.#next(0);
  }

  #next(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#round = this.look().finally(() => {
        const { every } = this.#parts.config.alerts;
        if (!this.#stopping.signal.aborted) this.#next(this.#isMine ? every : Math.min(every, standby));
      });
    }, ms).unref();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#round;
    if (this.#isMine) await this.#book.release(this.#owner).catch(() => undefined);
    this.#isMine = false;
  }

  /**
   * Runs one round, if it is this process's turn. It does not throw: what cannot be known now is measured in the next
   * round.
   */
  async look(): Promise<void> {
    try {
      const isMine = await this.#book.claim(this.#owner);
      if (isMine && !this.#isMine) this.#begin();
      this.#isMine = isMine;
      if (isMine) await this.#evaluate();
      else firing.reset();
    } catch (err) {
      logRarely(this.#parts.log, 'warn', 'alerts', { err }, 'the rules of alerts could not be looked at');
    }
  }

  /** Counts from before another process had its turn say nothing about now. */
  #begin(): void {
    const now = this.#parts.now();
    this.#kept.clear();
    this.#roleSeen.clear();
    for (const role of roleNames) this.#roleSeen.set(role, now);
    this.#parts.log.debug('looks after alerts from now on');
  }

  async #sources(now: number): Promise<Sources> {
    const { config, queue } = this.#parts;
    const [heartbeats, metrics, down] = await Promise.all([
      readHeartbeats(queue),
      readMetrics(queue, [...measured, 'jobs_total']),
      queue.routes.down(),
    ]);
    for (const { role } of heartbeats) this.#roleSeen.set(role, now);
    const counts = this.#rules.some(({ condition }) => condition === 'failures');
    const failures = counts ? await this.#failures.count(metrics, now) : undefined;
    const { signal } = this.#stopping;
    return { now, config, queue, heartbeats, metrics, down, failures, roleSeen: this.#roleSeen, signal };
  }

  async #evaluate(): Promise<void> {
    const { now: clock, config, log } = this.#parts;
    const now = clock();
    const [sources, before, silences] = await Promise.all([
      this.#sources(now),
      this.#book.states(),
      this.#book.silences(now),
    ]);
    const round = new Round(before, silences, { now, repeat: config.alerts.repeat });
    for (const rule of this.#rules) {
      const samples = await this.#measure(rule, sources);
      if (samples !== null) round.judge(rule, samples);
    }
    round.dropOthers(this.#rules);
    await this.#book.save(round.states, round.changes, { at: now, by: `${hostname()} ${process.pid}` });
    firing.reset();
    for (const { rule, severity, state } of round.after.values())
      if (state === 'firing') firing.inc({ rule, severity });
    for (const { kind, alert } of round.changes) say(log, kind, alert);
  }

  async #measure(rule: AlertRule, sources: Sources): Promise<Sample[] | null> {
    const { every = 0 } = factsOfCondition(rule.condition);
    const known = this.#kept.get(rule.name);
    if (known !== undefined && Math.abs(sources.now - known.at) < every) return known.samples;
    try {
      const samples = await measures[rule.condition](rule, sources);
      this.#kept.set(rule.name, { at: sources.now, samples });
      return samples;
    } catch (err) {
      if (sources.signal.aborted) return null;
      // The other conditions can be measured all the same.
      const { log } = this.#parts;
      logRarely(
        log,
        'warn',
        `alert ${rule.name}`,
        { err, rule: rule.name },
        'a rule of alerts could not be looked at',
      );
      return null;
    }
  }
}

/** One round over all rules: what becomes of each alert, and what is announced. */
export class Round {
  readonly #before: ReadonlyMap<string, AlertState>;
  readonly #silences: readonly Silence[];
  readonly #options: Omit<JudgeOptions, 'silenced'>;
  /** What changed. Null: forgotten. */
  readonly states = new Map<string, AlertState | null>();
  readonly changes: NewChange[] = [];
  /** All alerts that exist now. */
  readonly after: Map<string, AlertState>;

  constructor(
    before: ReadonlyMap<string, AlertState>,
    silences: readonly Silence[],
    options: Omit<JudgeOptions, 'silenced'>,
  ) {
    this.#before = before;
    this.#silences = silences;
    this.#options = options;
    this.after = new Map(before);
  }

  judge(rule: AlertRule, all: readonly Sample[]): void {
    const { bad } = factsOfCondition(rule.condition);
    const worst = [...all].sort((a, b) => (bad === 'above' ? b.value - a.value : a.value - b.value));
    const samples = new Map(
      // A known alert stays, so that a flood of new ones does not end it.
      worst
        .map((sample): [string, Sample] => [alertId(rule.name, sample.labels), sample])
        .filter(([id], place) => place < mostOfRule || this.#before.has(id)),
    );
    for (const [id, sample] of samples) this.#one(rule, id, sample);
    for (const [id, state] of this.#before)
      if (state.rule === rule.name && !samples.has(id)) this.#one(rule, id, undefined);
  }

  /** Alerts of rules that no longer apply. */
  dropOthers(rules: readonly AlertRule[]): void {
    for (const [id, state] of this.#before) {
      if (rules.some(({ name }) => name === state.rule)) continue;
      this.#put(id, undefined);
      if (state.toldAt !== null) this.#tell('cleared', state);
    }
  }

  #one(rule: AlertRule, id: string, sample: Sample | undefined): void {
    const before = this.#before.get(id);
    const probe = before ?? { id, rule: rule.name, labels: sample?.labels ?? {} };
    const silenced = this.#silences.some((silence) => isSilenced(probe, silence));
    const { state, change } = judge(rule, before, sample, { ...this.#options, silenced });
    this.#put(id, state);
    const told = state ?? before;
    if (change !== undefined && told !== undefined) this.#tell(change, told);
  }

  #put(id: string, state: AlertState | undefined): void {
    if (state === undefined) {
      if (this.#before.has(id)) this.states.set(id, null);
      this.after.delete(id);
      return;
    }
    this.states.set(id, state);
    this.after.set(id, state);
  }

  #tell(kind: NewChange['kind'], state: AlertState): void {
    const { goodSince: _, toldAt: __, step: ___, ...alert } = state;
    this.changes.push({ kind, at: this.#options.now, alert });
  }
}

/** The log gets each change once, also for a rule that has no channel. */
function say(
  log: Log,
  kind: NewChange['kind'],
  { id, rule, labels, text, hint, severity }: NewChange['alert'],
) {
  const fields = { alert: id, rule, severity, ...labels, why: text, ...(hint !== null && { hint }) };
  if (kind === 'cleared') log.info(fields, 'back to normal');
  else if (kind !== 'reminder') log.warn(fields, 'alert');
}
