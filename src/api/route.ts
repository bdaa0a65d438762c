/** What a route of the API is. One without a declared grant is not a `Route`, and the API does not start with it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Client, Verb } from '../client/index.ts';
import { refusal } from './problem.ts';

/** The verb that a client needs; `token`: a valid token is enough. */
export type Grant = Verb | 'token';

/** A request that was admitted. */
export interface Call<P = unknown, Q = unknown> {
  client: Client;
  params: P;
  query: Q;
  /** Address of the client, if known. */
  address: string;
  request: IncomingMessage;
  response: ServerResponse;
  /** The body, if the console calls: it has read its own form. */
  given?: { json: unknown };
  /** Two persons have agreed to it (`console.fourEyes`). */
  byTwo?: boolean;
}

/** A JSON answer, one that writes itself for as long as it lasts, or streamed octets. */
export type Answer =
  | { status: number; json: unknown; headers?: Record<string, string> }
  | { live(): Promise<void> }
  | { stream: AsyncIterable<Buffer>; type: string; octets: number; fileName: string };

/** What a body may be: JSON, files after a JSON part, or octets. */
export interface BodyFacts {
  schema: z.ZodType | 'octets';
  description: string;
}

interface RouteFacts<P extends z.ZodType, Q extends z.ZodType> {
  method: 'GET' | 'POST';
  url: string;
  grant: Grant;
  /**
   * In the console, a person has to prove again who it is (step-up), and with `console.fourEyes` a second person has to
   * confirm. Default: whether the verb is one of `graveVerbs`.
   */
  grave?: boolean;
  /** Name of the operation in the OpenAPI document. */
  name: string;
  tag: 'messages' | 'directory' | 'events' | 'certificates' | 'alerts' | 'routes' | 'users' | 'clients';
  summary: string;
  description: string;
  /** Of the path, and of the query; `nothing` for none. */
  params: P;
  query: Q;
  headers?: z.ZodObject;
  /** By media type. */
  bodies?: Record<string, BodyFacts>;
  /** Status of a success. */
  status: number;
  answer: z.ZodType | { type: string; description: string };
}

export interface Route extends RouteFacts<z.ZodType, z.ZodType> {
  /** Errors: `request-invalid` for parameters that do not match, and those of the route. */
  handle(call: Call): Promise<Answer>;
}

export const nothing = z.strictObject({});

/** Makes a route. Its handler gets what was checked against its schemas. */
export function route<P extends z.ZodType, Q extends z.ZodType>({
  handle,
  ...facts
}: RouteFacts<P, Q> & {
  handle(call: Call<z.output<P>, z.output<Q>>): Promise<Answer>;
}): Route {
  return {
    ...facts,
    handle: async (call) =>
      await handle({
        ...call,
        params: checked(facts.params, call.params, 'the path'),
        query: checked(facts.query, call.query, 'the query'),
      }),
  };
}

/**
 * A value in the form of the schema.
 *
 * @param what is checked, in errors
 * @throws {SealpostError} `request-invalid` with the place of what is wrong
 */
export function checked<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = (issue?.path ?? []).map(String).join('.');
  const where = place === '' ? what : `${place} in ${what}`;
  throw refusal('request-invalid', `${where}: ${(issue?.message ?? 'is wrong').slice(0, 200)}`);
}
