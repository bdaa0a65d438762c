/** Traces by OpenTelemetry, sent as OTLP over HTTP. Loaded only where they are asked for. */
import { type Context, context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  type Sampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-node';
import { BullMQOtel } from 'bullmq-otel';
import { type Config, readSecret } from '../config/index.ts';
import { toErrorInfo } from '../errors.ts';
import { type SpanFacts, type SpanOptions, type Spans, useSpans } from '../spans.ts';

export type TracesConfig = NonNullable<Config['traces']>;

/** Marks the spans that a trace begins with. */
const begins = 'sealpost.begins';
/** Milliseconds: between two deliveries, and for one of them. */
const times = { batch: 2000, request: 5000 };
/** Spans that wait for a collector that is away; what comes beyond is dropped. */
const mostWaiting = 4096;

/** A trace begins at a door, and has what belongs to it; the queues' own housekeeping belongs to none. */
class OurSampler implements Sampler {
  readonly #ratio: TraceIdRatioBasedSampler;

  constructor(ratio: number) {
    this.#ratio = new TraceIdRatioBasedSampler(ratio);
  }

  shouldSample(parent: Context, traceId: string, name: string, _kind: SpanKind, facts: object) {
    const above = trace.getSpanContext(parent);
    if (above !== undefined) {
      const isOurs = (above.traceFlags & 1) === 1 && !name.startsWith('getNextJob');
      return { decision: isOurs ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD };
    }
    if (!(begins in facts)) return { decision: SamplingDecision.NOT_RECORD };
    return this.#ratio.shouldSample(parent, traceId);
  }

  toString(): string {
    return 'sealpost';
  }
}

/**
 * Begins to make traces in this process. Returns what sends the last ones and ends it. Errors: those of `readSecret`.
 */
export function startTracing({ url, ratio, authorization }: TracesConfig, role: string): () => Promise<void> {
  const exporter = new OTLPTraceExporter({
    url,
    timeoutMillis: times.request,
    ...(authorization && { headers: { Authorization: readSecret(authorization) } }),
  });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'sealpost',
      'service.instance.id': `${role} ${process.pid}`,
    }),
    sampler: new OurSampler(ratio),
    spanProcessors: [
      new BatchSpanProcessor(exporter, {
        scheduledDelayMillis: times.batch,
        exportTimeoutMillis: times.request,
        maxQueueSize: mostWaiting,
      }),
    ],
  });
  provider.register();
  useSpans(spansOf(new BullMQOtel({ tracerName: 'sealpost' })));
  return async () => {
    useSpans(undefined);
    // A collector that is away holds up nobody.
    await provider.shutdown().catch(() => undefined);
  };
}

function spansOf(telemetry: BullMQOtel): Spans {
  const tracer = trace.getTracer('sealpost');
  return {
    telemetry,
    carrier() {
      if (trace.getActiveSpan() === undefined) return undefined;
      return telemetry.contextManager.getMetadata(context.active());
    },
    note: (facts) => void trace.getActiveSpan()?.setAttributes(named(facts)),
    async span<T>(
      name: string,
      facts: SpanFacts,
      work: () => Promise<T>,
      { since }: SpanOptions,
    ): Promise<T> {
      const isFirst = trace.getActiveSpan() === undefined;
      const attributes = { ...named(facts), ...(isFirst && { [begins]: true }) };
      const kind = isFirst ? SpanKind.SERVER : SpanKind.INTERNAL;
      const options = { attributes, kind, ...(since !== undefined && { startTime: since }) };
      return await tracer.startActiveSpan(name, options, async (span) => {
        try {
          return await work();
        } catch (error) {
          span.setStatus({ code: SpanStatusCode.ERROR, message: toErrorInfo(error).code });
          throw error;
        } finally {
          span.end();
        }
      });
    },
  };
}

const named = (facts: SpanFacts) =>
  Object.fromEntries(Object.entries(facts).map(([name, value]) => [`sealpost.${name}`, value]));
