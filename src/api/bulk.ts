/** Acts on many messages, with a preview that changes nothing. */
import type { z } from 'zod';
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { toErrorInfo } from '../errors.ts';
import type { Act, MessageRecord, MessageState, QueueRoom } from '../queue/index.ts';
import type { BodyRules } from './body.ts';
import { granted } from './granted.ts';
import { jsonBody } from './json-body.ts';
import { queryOf } from './messages.ts';
import {
  type BulkAct,
  bulkBody,
  type bulkFilter,
  bulkResult,
  preview,
  previewQuery,
} from './overview-schemas.ts';
import { refusal } from './problem.ts';
import { nothing, type Route, route } from './route.ts';
import { Turns } from './turns.ts';
import { iso } from './view.ts';

export interface BulkParts {
  config: Config;
  queue: QueueRoom;
  body: BodyRules;
}

/**
 * Limits: messages that one call acts on; page size of the search, and pages of one call, each of which examines 20,000
 * at most; acts at a time; messages shown in a preview.
 */
const most = 2000;
const pageSize = 200;
const mostPages = 20;
/** Calls that look for messages at a time: each of another client. */
const actsAtATime = 4;
const atOnce = 50;
const shown = 20;

type Filter = z.output<z.ZodObject<typeof bulkFilter>>;

const statesOf: Readonly<Record<BulkAct, readonly MessageState[]>> = {
  resume: ['suspended'],
  terminate: ['suspended'],
  'decode-again': ['suspended'],
  retry: ['received', 'decoded', 'queued'],
};

interface Place {
  state: MessageState;
  /** Of the list of that state; undefined for its beginning. */
  cursor: string | undefined;
}

/** Errors: `request-invalid` for what no call returned. */
function placeOf(cursor: string | undefined, states: readonly MessageState[]): Place | null {
  const [first] = states;
  if (cursor === undefined) return first === undefined ? null : { state: first, cursor: undefined };
  const at = cursor.indexOf('.');
  const state = states.find((each) => each === cursor.slice(0, at));
  if (state === undefined) throw refusal('request-invalid', 'the cursor is not one that this act returned');
  return { state, cursor: cursor.slice(at + 1) || undefined };
}

export function bulkRoutes({ config, queue, body }: BulkParts): Route[] {
  const { flow, ledger } = queue;
  const turns = new Turns('acts on many messages', actsAtATime, Number.POSITIVE_INFINITY);

  /**
   * The messages that the client may see and the filter selects: of each state, newest first. A filter that selects
   * little is looked for as long as one call may; `cursor` leads on from there.
   */
  const choose = async (client: Client, act: BulkAct, { cursor: from, ...filter }: Filter) => {
    const messages: MessageRecord[] = [];
    // Outbound mail is not decoded.
    if (act === 'decode-again' && filter.direction === 'outbound') return { messages, cursor: null };
    const direction = act === 'decode-again' ? 'inbound' : filter.direction;
    const among = granted(client, config);
    const states = statesOf[act];
    let place = placeOf(from, states);
    for (let pages = 0; place !== null; pages++) {
      const limit = Math.min(pageSize, most - messages.length);
      if (limit === 0 || pages === mostPages)
        return { messages, cursor: `${place.state}.${place.cursor ?? ''}` };
      const query = { ...queryOf({ ...filter, direction, limit: String(limit) }), state: place.state };
      const page: Awaited<ReturnType<typeof ledger.listAmong>> = await ledger.listAmong(
        place.cursor === undefined ? query : { ...query, cursor: place.cursor },
        among,
      );
      messages.push(...page.messages);
      const next = states[states.indexOf(place.state) + 1];
      if (page.cursor !== null) place = { state: place.state, cursor: page.cursor };
      else place = next === undefined ? null : { state: next, cursor: undefined };
    }
    return { messages, cursor: null };
  };

  const perform = async (act: BulkAct, id: string, by: Act): Promise<string | undefined> => {
    if (act === 'resume') return (await flow.resume(id, by)) ? undefined : 'is not suspended';
    if (act === 'retry') return (await flow.retry(id, by)) ? undefined : 'waits for no attempt';
    if (act === 'terminate')
      return (await flow.terminate(id, by.why ?? '', by)) ? undefined : 'has already ended';
    await flow.decodeAgain(id, by);
    return undefined;
  };

  const mayOf = (client: Client, act: BulkAct) => {
    if (!client.may(act)) throw refusal('not-granted', `client ${client.name} is not granted ${act}`);
  };

  return [
    route({
      method: 'GET',
      url: '/v1/acts',
      grant: 'read',
      name: 'previewActs',
      tag: 'messages',
      summary: 'See what an act on many messages would do',
      description:
        'Touches nothing. Up to 2,000 messages are counted, among those that one call looks through; cursor leads on.',
      params: nothing,
      query: previewQuery,
      status: 200,
      answer: preview,
      async handle({ client, query: { act, ...filter }, response }) {
        mayOf(client, act);
        const until = iso(Date.now());
        const { messages, cursor } = await turns.take(client, () => choose(client, act, filter), response);
        const times = messages.map(({ receivedAt }) => receivedAt);
        const oldest = times.length === 0 ? null : iso(Math.min(...times));
        const ids = messages.slice(0, shown).map(({ id }) => id);
        return {
          status: 200,
          json: {
            ...{ messages: messages.length, more: cursor !== null, cursor, ids, oldest },
            until: filter.until ?? until,
          },
        };
      },
    }),
    route({
      method: 'POST',
      url: '/v1/acts',
      grant: 'read',
      grave: true,
      name: 'actOnMessages',
      tag: 'messages',
      summary: 'Do the same with many messages',
      description:
        'Those that a filter selects, or the given ones: at most 2,000 in one call, among those that it looks through; cursor leads on. The client needs the verb of the act. Each message is acted on by itself and noted in the audit trail; what cannot be done stands in the answer.',
      params: nothing,
      query: nothing,
      bodies: { 'application/json': { schema: bulkBody, description: 'What is done, with which messages.' } },
      status: 200,
      answer: bulkResult,
      async handle(call) {
        const { client } = call;
        const { act, ids, why, ...filter } = await jsonBody(call, bulkBody, body);
        mayOf(client, act);
        if (act === 'terminate' && (why ?? '') === '')
          throw refusal('request-invalid', 'why: terminate needs a reason');
        const { cursor: _, ...selecting } = filter;
        const filters = Object.values(selecting).filter((value) => value !== undefined);
        if ((ids === undefined) === (filters.length === 0))
          throw refusal('request-invalid', 'give ids, or a filter: one of them');
        const by = { by: client.actor, ...(why !== undefined && { why }) };
        const chosen =
          ids === undefined
            ? await turns.take(client, () => choose(client, act, filter), call.response)
            : { messages: await Promise.all(ids.map(async (id) => await seen(client, id))), cursor: null };
        const done: string[] = [];
        const failed: z.output<typeof bulkResult>['failed'] = [];
        const one = async (message: { id: string; direction?: 'inbound' | 'outbound' | undefined }) => {
          const { id, direction } = message;
          try {
            if (direction === undefined) throw refusal('message-unknown', `there is no message ${id}`);
            if (act === 'decode-again' && direction === 'outbound')
              throw refusal('message-state', `message ${id} is outbound, and is not decoded`);
            const not = await perform(act, id, by);
            if (not !== undefined) throw refusal('message-state', `message ${id} ${not}`);
            done.push(id);
          } catch (error) {
            const { code, message: detail } = toErrorInfo(error);
            failed.push({ id, code, detail });
          }
        };
        // oldest first, so that order is kept where it matters
        const order = [...chosen.messages].reverse();
        for (let at = 0; at < order.length; at += atOnce)
          await Promise.all(order.slice(at, at + atOnce).map(one));
        const { cursor } = chosen;
        return { status: 200, json: { done, failed, more: cursor !== null, cursor } };
      },
    }),
  ];

  /** Without a direction, the message is unknown; what the client may not see looks the same. */
  async function seen(
    client: Client,
    id: string,
  ): Promise<{ id: string; direction?: 'inbound' | 'outbound' }> {
    const record = await ledger.get(id);
    return record && client.maySee(record) ? { id, direction: record.direction } : { id };
  }
}
