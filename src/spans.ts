/**
 * Traces of messages, in all processes. Off unless the process was told to (`daemon/tracing.ts`), and then nothing but
 * this file is loaded. What a span says is what the log may say: names, ids, counts and codes.
 */
import type { Telemetry } from 'bullmq';

export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** When it began, in milliseconds since the epoch; default: now. */
  since?: number | undefined;
}

/** What makes spans. */
export interface Spans {
  /** The way that leads here, for a job: what follows it is part of the same trace. */
  carrier(): string | undefined;
  /** Says more of what is under way. */
  note(facts: SpanFacts): void;
  span<T>(name: string, facts: SpanFacts, work: () => Promise<T>, options: SpanOptions): Promise<T>;
  /** For the workers of the queues. */
  readonly telemetry: Telemetry;
}

let spans: Spans | undefined;

export function useSpans(made: Spans | undefined): void {
  spans = made;
}

/** Runs some work as a span of its own, under the one that it is part of. */
export function traced<T>(
  name: string,
  facts: SpanFacts,
  work: () => Promise<T>,
  options: SpanOptions = {},
): Promise<T> {
  return spans === undefined ? work() : spans.span(name, facts, work, options);
}

export function noteOnSpan(facts: SpanFacts): void {
  spans?.note(facts);
}

/** For a job, as its field `trace`; nothing without traces. */
export function carried(): { trace?: string } {
  const trace = spans?.carrier();
  return trace === undefined ? {} : { trace };
}

export function queueTelemetry(): Telemetry | undefined {
  return spans?.telemetry;
}
