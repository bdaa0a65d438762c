/** Traces, as a collector on this machine gets them: one from RCPT to hand-off, one from submission to departure. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { startApi, type TestApi } from '../support/api.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  role: string;
}

/** What a collector was sent. */
function collector() {
  const spans: Span[] = [];
  const fields: (string | undefined)[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      fields.push(request.headers.authorization);
      for (const { resource, scopeSpans } of JSON.parse(Buffer.concat(chunks).toString()).resourceSpans) {
        const id = resource.attributes.find(({ key }: { key: string }) => key === 'service.instance.id');
        const role = String(id.value.stringValue).split(' ')[0];
        for (const { spans: some } of scopeSpans) for (const span of some) spans.push({ ...span, role });
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  return { spans, fields, server };
}

describe('traces', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  const { spans, fields, server } = collector();
  let api: TestApi;
  let mails: KeepingServer;
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    mails = await startKeepingServer();
    const route = { host: '127.0.0.1', port: mails.port, tls: 'none' };
    api = await startApi(world, {
      args: [],
      config: {
        partners: [
          {
            ...{ name: 'acme', addresses: ['edi@acme.example'], from: 'orders@own.example' },
            ...{ encrypt: false, sign: 'none', route },
          },
        ],
        traces: {
          url: `http://127.0.0.1:${port}/v1/traces`,
          authorization: { file: world.file('collector', 'Bearer collector') },
        },
      },
    });
  });
  after(async () => {
    await api?.daemon.stop();
    await mails?.close();
    server.close();
    world.remove();
  });

  const factOf = (span: Span, key: string) =>
    Object.values(span.attributes.find((each) => each.key === `sealpost.${key}`)?.value ?? {})[0];
  /** The spans of the trace in which a span is, once one with the name is there as well. */
  const traceWith = (name: string, fits: (span: Span) => boolean) =>
    api.daemon.waitFor(`a span ${name}`, () => {
      const last = spans.find((span) => span.name === name && fits(span));
      if (last === undefined) return undefined;
      const all = spans.filter(({ traceId }) => traceId === last.traceId);
      // parents are sent when they end
      const isWhole = all.every(
        ({ parentSpanId = '' }) => parentSpanId === '' || all.some((each) => each.spanId === parentSpanId),
      );
      return isWhole ? all : undefined;
    });
  /** Names from the first one down to a span. */
  const way = (all: Span[], name: string): string[] => {
    const names: string[] = [];
    for (let span = all.find((each) => each.name === name); span; ) {
      names.unshift(`${span.role} ${span.name}`);
      const above: string = span.parentSpanId ?? '';
      span = all.find(({ spanId }) => spanId === above);
    }
    return names;
  };

  it('lead from the first RCPT to the hand-off, through all processes', async () => {
    const before = Date.now();
    const id = await api.daemon.accept(world.mail(textEntity('a secret text')));
    await api.daemon.reaches(id, 'delivered');
    const all = await traceWith('hand off', ({ role }) => role === 'handoff');
    assert.deepEqual(way(all, 'hand off'), [
      'receive receive',
      'decrypt process inbound',
      'handoff process handoff',
      'handoff hand off',
    ]);
    const decoding = all.find(({ name }) => name === 'process inbound');
    assert.ok(decoding);
    assert.deepEqual([factOf(decoding, 'message'), factOf(decoding, 'outcome')], [id, 'done']);
    const first = all.find(({ name }) => name === 'receive');
    assert.ok(first && Number(BigInt(first.startTimeUnixNano) / 1_000_000n) >= before - 1000);
    assert.ok(fields.every((field) => field === 'Bearer collector'));
    assert.equal(JSON.stringify(spans).includes('a secret text'), false);
  });

  it('lead from the submission to the departure, also over a failed attempt', async () => {
    mails.answers.push('451 4.3.0 not now');
    const token = await api.token(
      'erp',
      '--scope',
      'send',
      '--partner',
      'acme',
      '--sender',
      '*',
      '--identity',
      '*',
    );
    const answer = await api.post(token, { partner: 'acme', subject: 'x', text: 'y' });
    assert.equal(answer.status, 202, answer.text);
    const [{ id }] = answer.json.messages;
    await api.daemon.reaches(id, 'sent');
    const all = await traceWith('process outbound', (span) => factOf(span, 'outcome') === 'done');
    assert.deepEqual(way(all, 'send'), ['api submit', 'outbound process outbound', 'outbound send']);
    const outcomes = all
      .filter(({ name }) => name === 'process outbound')
      .map((span) => factOf(span, 'outcome'));
    assert.deepEqual(outcomes.sort(), ['done', 'retry send-failed']);
  });

  it('have nothing of the housekeeping of the queues', () => {
    const names = new Set(spans.map(({ name }) => name));
    for (const name of names) assert.ok(!/getNextJob|Stalled|Timer/.test(name), name);
    // each trace begins at a door
    const first = spans.filter(({ parentSpanId = '' }) => parentSpanId === '').map(({ name }) => name);
    assert.deepEqual([...new Set(first)].sort(), ['receive', 'submit']);
  });
});
