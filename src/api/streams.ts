/**
 * `GET /v1/events`: events of the messages that a client may see, as server-sent events or page by page. A stream ends
 * when its client is revoked, or when its reader is too slow.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Client, ClientRegistry } from '../client/index.ts';
import type { Events, FollowedEvent } from '../queue/index.ts';
import type { EventIds, Places } from './places.ts';
import { refusal } from './problem.ts';
import { type Answer, nothing, type Route, route } from './route.ts';
import { eventList, eventsQuery, type MessageEvent } from './schemas.ts';
import { Turns } from './turns.ts';

export interface StreamParts {
  events: Events;
  places: Places;
  registry: Pick<ClientRegistry, 'again' | 'onChange'>;
  /** We ended the stream. */
  onFailure(error: unknown): void;
}

/** Milliseconds: between two looks for new events; between two beats; for which a reader may leave octets unread. */
export interface StreamTimes {
  look: number;
  beat: number;
  unread: number;
}

const times: StreamTimes = { look: 200, beat: 15_000, unread: 15_000 };
/** How often the stream is extended. */
const keepEvery = 3_600_000;
/** Events on a page, and pages read at a time. Each page may go through all events that are kept. */
const pageSize = 500;
const pagesAtATime = 4;

export class Streams {
  readonly #parts: StreamParts;
  readonly #times: StreamTimes;
  readonly #open = new Set<AbortController>();
  readonly #turns = new Turns('pages of events', pagesAtATime, Number.POSITIVE_INFINITY);
  #keeping: NodeJS.Timeout | undefined;

  constructor(parts: StreamParts, own: Partial<StreamTimes> = {}) {
    this.#parts = parts;
    this.#times = { ...times, ...own };
  }

  /** From now on, events are recorded. */
  async start(): Promise<void> {
    const { events } = this.#parts;
    await events.keep();
    this.#keeping = setInterval(() => void events.keep().catch(() => undefined), keepEvery).unref();
  }

  /** Ends all streams. Their readers come back with the id of the last event. */
  stop(): void {
    clearInterval(this.#keeping);
    for (const each of this.#open) each.abort();
  }

  get route(): Route {
    return route({
      method: 'GET',
      url: '/v1/events',
      grant: 'read',
      name: 'followEvents',
      tag: 'events',
      summary: 'Follow what happens to messages',
      description:
        'With Accept: text/event-stream a stream of server-sent events, each with the id of its place; come again with that id in Last-Event-ID, and nothing is missed that is still kept. It beats every 15 seconds, in comments, or in events of the name beat with beats=events; an event missed says that some may be gone. Otherwise one page in JSON: ask again with its cursor in after. Only messages that the client may see.',
      headers: z.object({
        'Last-Event-ID': z.string().describe('Place to go on from, for a stream.').optional(),
      }),
      params: nothing,
      query: eventsQuery,
      status: 200,
      answer: eventList,
      handle: async ({ client, query, request, response }): Promise<Answer> => {
        const { events, places } = this.#parts;
        if (!/\btext\/event-stream\b/.test(request.headers.accept ?? '')) {
          const after = query.after === undefined ? '0-0' : places.read(client, query.after, 'after');
          const page = () => this.#page(client, after);
          return { status: 200, json: await this.#turns.take(client, page, response) };
        }
        const header = request.headers['last-event-id'];
        if (Array.isArray(header)) throw refusal('request-invalid', 'Last-Event-ID is repeated');
        const given = header ?? query.after;
        const from =
          given === undefined ? await events.newest() : places.read(client, given, 'Last-Event-ID');
        const beat = query.beats === undefined ? ': beat\n\n' : 'event: beat\ndata: {}\n\n';
        return { live: () => this.#follow(client, from, response, beat) };
      },
    });
  }

  /**
   * Events of others leave no trace in a page: one request passes over them, however many there are, and its cursor
   * is sealed.
   */
  async #page(client: Client, after: string): Promise<z.output<typeof eventList>> {
    const { events, places } = this.#parts;
    const found: FollowedEvent[] = [];
    let page = await events.read(after, (owner) => client.maySee(owner));
    const { missed } = page;
    for (;;) {
      found.push(...shown(client, page.events));
      if (found.length > pageSize || !page.more) break;
      page = await events.read(page.last, (owner) => client.maySee(owner));
    }
    const more = found.length > pageSize;
    const last = (more && found[pageSize - 1]?.id) || page.last;
    const seen = found.slice(0, pageSize).map((each) => eventOf(each, places.ids));
    return { events: seen, cursor: places.seal(client, last), more, missed };
  }

  async #follow(first: Client, from: string, response: ServerResponse, beat: string): Promise<void> {
    const { events, places, registry } = this.#parts;
    const ended = new AbortController();
    const end = () => ended.abort();
    let client: Client | undefined = first;
    const look = () => {
      client = registry.again(first);
      if (!client?.may('read')) end();
    };
    this.#open.add(ended);
    const off = registry.onChange(look);
    // A token may also expire.
    const expiry = setInterval(look, 1000);
    response.once('close', end);
    response.on('error', end);
    let beaten = performance.now();
    const write = async (text: string) => {
      beaten = performance.now();
      if (response.write(text) || ended.signal.aborted) return;
      // Waits for a slow reader, but not for long.
      const late = AbortSignal.any([ended.signal, AbortSignal.timeout(this.#times.unread)]);
      await once(response, 'drain', { signal: late }).catch(end);
    };
    try {
      response.writeHead(200, {
        'Content-Type': 'text/event-stream',
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        'X-Accel-Buffering': 'no',
        // Whose stream has ended keeps no connection either.
        Connection: 'close',
      });
      await write(': events\n\n');
      // A script does not see comments, and wants to know at once whether anything gets through.
      if (!beat.startsWith(':')) await write(beat);
      for (let after = from; !ended.signal.aborted; ) {
        const page = await events.read(after, (owner) => client?.maySee(owner) ?? false);
        after = page.last;
        if (page.missed) await events.keep();
        if (page.missed) await write('event: missed\ndata: {}\n\n');
        for (const each of page.events) {
          // A slow reader may keep us waiting, and its rights may change in the meantime.
          if (ended.signal.aborted) break;
          for (const event of client ? shown(client, [each]) : []) {
            const seen = eventOf(event, places.ids);
            await write(`id: ${seen.id}\ndata: ${JSON.stringify(seen)}\n\n`);
          }
        }
        if (page.more) continue;
        if (performance.now() - beaten >= this.#times.beat) await write(beat);
        await sleep(this.#times.look, undefined, { signal: ended.signal });
      }
    } catch (error) {
      // Its reader comes back with the id of the last event.
      if (!ended.signal.aborted) this.#parts.onFailure(error);
    } finally {
      off();
      clearInterval(expiry);
      this.#open.delete(ended);
      response.end();
      // What was written may still leave. A reader that does not take it is cut off.
      setTimeout(() => response.destroy(), 1000).unref();
    }
  }
}

/** Those that a client may see. */
function shown(client: Client, events: readonly FollowedEvent[]): FollowedEvent[] {
  return events.filter(({ record }) => client.maySee(record));
}

export function eventOf({ id, event, record }: FollowedEvent, ids: EventIds): MessageEvent {
  const { direction, mailbox, partner, partnerBy, client = null, metadata = {} } = record;
  return {
    id: ids.of(id),
    type: event.type,
    at: new Date(event.at).toISOString(),
    message: { id: record.id, direction, mailbox, partner, partnerBy, client, metadata },
    facts: event.facts,
  };
}
