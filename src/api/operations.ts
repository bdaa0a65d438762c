/**
 * The operations of the API for a caller in this process: the console. Grants, schemas and acts are those of the
 * routes.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import { type Client, type ClientRegistry, loadClients } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import { checkGrant, checkSecond, isGrave } from './granting.ts';
import { Places } from './places.ts';
import { type Answer, checked, type Route } from './route.ts';
import { routesOf } from './routes.ts';
import { Streams } from './streams.ts';

/** The arguments of an operation. Query parameters are text, as in a URL. */
export interface Asked {
  params?: Record<string, string>;
  query?: Record<string, string | undefined>;
  /** The body. */
  json?: unknown;
}

/** Who calls, and the connection that a stream is written to. */
export interface Caller {
  client: Client;
  address: string;
  request: IncomingMessage;
  response: ServerResponse;
  /** A second person has confirmed it. */
  byTwo?: boolean;
}

export interface OperationsParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
  /** The caller's rights now, asked again while a stream lasts. */
  registry: Pick<ClientRegistry, 'again' | 'onChange'>;
}

export class Operations {
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #streams: Streams;
  readonly #fourEyes: boolean;

  private constructor(routes: readonly Route[], streams: Streams, fourEyes: boolean) {
    this.#routes = new Map(routes.map((route) => [route.name, route]));
    this.#streams = streams;
    this.#fourEyes = fourEyes;
  }

  static async open({ config, queue, log, registry }: OperationsParts): Promise<Operations> {
    const { Rates } = await loadClients();
    const streams = new Streams({
      events: queue.events,
      places: new Places(queue),
      registry,
      onFailure: (err) => logRarely(log, 'warn', 'console stream', { err }, 'a stream of events ended'),
    });
    const routes = routesOf({ config, queue, log, rates: new Rates(), streams });
    return new Operations(routes, streams, config.console.fourEyes);
  }

  async start(): Promise<void> {
    await this.#streams.start();
  }

  stop(): void {
    this.#streams.stop();
  }

  #named(name: string): Route {
    const found = this.#routes.get(name);
    if (found) return found;
    throw new SealpostError('internal', `there is no operation ${name}`);
  }

  /** Errors: `not-granted`. */
  checkGrant(name: string, client: Client): void {
    checkGrant(this.#named(name), client);
  }

  /** Whether the person has to prove again who it is. */
  isGrave(name: string): boolean {
    return isGrave(this.#named(name));
  }

  /** Whether a second person has to confirm it. */
  needsSecond(name: string): boolean {
    const route = this.#named(name);
    return this.#fourEyes && route.method === 'POST' && isGrave(route);
  }

  /** Errors: `not-granted`, `second-person-needed`, and those of the operation. */
  async call(
    name: string,
    { client, address, request, response, byTwo = false }: Caller,
    { params = {}, query = {}, json }: Asked = {},
  ): Promise<Answer> {
    const route = this.#named(name);
    checkGrant(route, client);
    checkSecond(route, this.#fourEyes, byTwo);
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
    const call = { client, address, params, query: given, request, response };
    return await route.handle({ ...call, byTwo, given: { json: json ?? {} } });
  }
}

/** The JSON answer of an operation, in the form of its schema. Errors: `internal` for any other kind of answer. */
export function jsonOf<S extends z.ZodType>(answer: Answer, schema: S): z.output<S> {
  if (!('json' in answer)) throw new SealpostError('internal', 'the operation answers no JSON');
  return checked(schema, answer.json, 'the answer');
}
