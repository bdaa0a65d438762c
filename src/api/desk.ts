/** Routes whose work is done by a desk, in the name of who asks. */
import type { z } from 'zod';
import type { Acting } from '../client/index.ts';
import type { BodyRules } from './body.ts';
import { jsonBody } from './json-body.ts';
import { asRequest } from './problem.ts';
import { type Call, type Route, route } from './route.ts';

/** What is opened with the first request, and again after a failure. */
export function openedOnce<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return async () => {
    opened ??= open();
    opened.catch(() => {
      opened = undefined;
    });
    return await opened;
  };
}

type Facts<P, Q> = Pick<
  Route,
  'method' | 'url' | 'name' | 'grant' | 'tag' | 'summary' | 'description' | 'answer'
> &
  Partial<Pick<Route, 'grave'>> & { params: P; query: Q };

/** What a desk is asked with. */
export interface Asking<D, P, Q> extends Pick<Call<P, Q>, 'params' | 'query'> {
  desk: D;
  by: Acting;
}

/** Routes of a desk. What it refuses is refused as a request is; each gives the JSON of its answer. */
export class DeskRoutes<D> {
  readonly #desk: () => Promise<D>;
  readonly #rules: BodyRules;

  constructor(desk: () => Promise<D>, rules: BodyRules) {
    this.#desk = desk;
    this.#rules = rules;
  }

  async #asking<P, Q>(call: Call<P, Q>): Promise<Asking<D, P, Q>> {
    const { client, params, query } = call;
    return { params, query, desk: await this.#desk(), by: { client, by: client.actor } };
  }

  /** One without a body. */
  plain<P extends z.ZodType, Q extends z.ZodType>(
    facts: Facts<P, Q>,
    perform: (asking: Asking<D, z.output<P>, z.output<Q>>) => Promise<unknown>,
  ): Route {
    return route({
      ...{ ...facts, status: 200 },
      handle: async (call) => {
        const asking = await this.#asking(call);
        return { status: 200, json: await asRequest(() => perform(asking)) };
      },
    });
  }

  /** One with a body in JSON. */
  told<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
    { body, ...facts }: Facts<P, Q> & { body: { schema: B; description: string } },
    perform: (asking: Asking<D, z.output<P>, z.output<Q>> & { given: z.output<B> }) => Promise<unknown>,
  ): Route {
    return route({
      ...{ ...facts, status: 200, bodies: { 'application/json': body } },
      handle: async (call) => {
        const given = await jsonBody(call, body.schema, this.#rules);
        const asking = { ...(await this.#asking(call)), given };
        return { status: 200, json: await asRequest(() => perform(asking)) };
      },
    });
  }
}
