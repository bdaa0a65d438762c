/** What is known of messages: one, or a list. For a client, a message that it may not see does not exist. */
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { timeOf } from '../pipeline/submit.ts';
import type { ListQuery, MessageRecord, QueueRoom } from '../queue/index.ts';
import type { BodyRules } from './body.ts';
import { granted } from './granted.ts';
import { jsonBody } from './json-body.ts';
import { refusal } from './problem.ts';
import { type Call, nothing, type Route, route } from './route.ts';
import {
  idParams,
  listQuery,
  type MessageFilter,
  messageDetail,
  messageList,
  messageVerdict,
  searchBody,
} from './schemas.ts';
import { Turns } from './turns.ts';
import { detailOf, summaryOf, verdictOf } from './view.ts';

export interface MessagesParts {
  config: Config;
  queue: QueueRoom;
  body: BodyRules;
}

/** The record of a message that the client may see. Errors: `message-unknown`, also for one that it may not see. */
export async function visible(
  { ledger }: Pick<QueueRoom, 'ledger'>,
  client: Client,
  id: string,
): Promise<MessageRecord> {
  const owner = await ledger.ownerOf(id);
  const record = owner && client.maySee(owner) ? await ledger.get(id) : null;
  // It may have ended and been resumed in between.
  if (record && client.maySee(record)) return record;
  throw new SealpostError('message-unknown', `there is no message ${id}`);
}

/** How many messages with the same beginning of an id are shown. */
const mostBegun = 50;
/** How many searches run at a time that open or read record after record, each of another client. */
const searchesAtATime = 4;

export function messageRoutes({ config, queue, body }: MessagesParts): Route[] {
  const searches = new Turns('searches', searchesAtATime, Number.POSITIVE_INFINITY);
  /** By the beginning of an id. Errors: `request-invalid` if there is another filter. */
  const begun = async (client: Client, id: string, filter: object) => {
    if (Object.values(filter).some((value) => value !== undefined))
      throw refusal('request-invalid', 'id is a filter of its own', 'leave the other filters out');
    const ids = await queue.ledger.matchingAmong(id, mostBegun, (owner) => client.maySee(owner));
    const records = await Promise.all(ids.map((each) => queue.ledger.get(each)));
    const seen = records.filter((record) => record !== null && client.maySee(record));
    const messages = seen.flatMap((record) => record ?? []).sort((a, b) => b.receivedAt - a.receivedAt);
    return { messages: await summaries(client, messages), cursor: null };
  };
  /** A subject is content. */
  const subjects = async (client: Client, records: readonly MessageRecord[]) =>
    client.may('content') ? await queue.ledger.subjects(records.map(({ id }) => id)) : [];
  const summaries = async (client: Client, records: readonly MessageRecord[]) => {
    const opened = await subjects(client, records);
    return records.map((record, at) => summaryOf(record, opened[at] ?? null));
  };
  /** Errors: `not-granted`, `request-invalid`, `rate-limited`. */
  const find = async ({ client, response }: Pick<Call, 'client' | 'response'>, wanted: MessageFilter) => {
    const { id, ...filter } = wanted;
    if (id !== undefined) return { status: 200, json: await begun(client, id, filter) };
    const query = queryOf(filter);
    if (query.subject !== undefined && !client.may('content'))
      throw refusal('not-granted', `client ${client.name} is not granted content`);
    const list = () => queue.ledger.listAmong(query, granted(client, config));
    const isSearch = query.subject !== undefined || query.address !== undefined;
    const { messages, cursor } = isSearch ? await searches.take(client, list, response) : await list();
    return { status: 200, json: { messages: await summaries(client, messages), cursor } };
  };
  return [
    route({
      method: 'GET',
      url: '/v1/messages/:id',
      grant: 'read',
      name: 'getMessage',
      tag: 'messages',
      summary: 'See a message',
      description: 'Its state, what happened to it, what failed last, and when it is tried again.',
      params: idParams,
      query: nothing,
      status: 200,
      answer: messageDetail,
      async handle({ client, params }) {
        const record = await visible(queue, client, params.id);
        const [[due = null], [subject = null]] = await Promise.all([
          queue.ledger.due([record.id]),
          subjects(client, [record]),
        ]);
        return { status: 200, json: detailOf(record, due, subject) };
      },
    }),
    route({
      method: 'GET',
      url: '/v1/messages/:id/verdict',
      grant: 'read',
      name: 'getVerdict',
      tag: 'messages',
      summary: 'See what a message was worth',
      description:
        'The verdict of an inbound message, until it was handed off everywhere or has ended. The fields of its header are for clients with the verb content.',
      params: idParams,
      query: nothing,
      status: 200,
      answer: messageVerdict,
      async handle({ client, params }) {
        await visible(queue, client, params.id);
        return { status: 200, json: await verdictOf(queue, client, params.id) };
      },
    }),
    route({
      method: 'GET',
      url: '/v1/messages',
      grant: 'read',
      name: 'listMessages',
      tag: 'messages',
      summary: 'List messages',
      description: 'Newest first, only those that the client may see.',
      params: nothing,
      query: listQuery,
      status: 200,
      answer: messageList,
      handle: async (call) => await find(call, call.query),
    }),
    route({
      method: 'POST',
      url: '/v1/messages/search',
      grant: 'read',
      name: 'searchMessages',
      tag: 'messages',
      summary: 'Search messages, also by subject',
      description:
        'As the list, and also by a part of the subject, which stands in no address then: logs of proxies keep addresses. With a subject, 10,000 messages are looked through for a page.',
      params: nothing,
      query: nothing,
      bodies: { 'application/json': { schema: searchBody, description: 'What to look for.' } },
      status: 200,
      answer: messageList,
      handle: async (call) => await find(call, await jsonBody(call, searchBody, body)),
    }),
  ];
}

/** A query as the ledger takes it. Errors: `request-invalid`. */
export function queryOf({ since, until, limit, ...rest }: Omit<MessageFilter, 'id'>): ListQuery {
  const time = (text: string, name: string) => {
    const at = timeOf(text);
    if (Number.isNaN(at))
      throw refusal('request-invalid', `${name} is not a time`, 'write 2026-12-01T08:00:00Z');
    return at;
  };
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return {
    ...given,
    ...(since === undefined ? {} : { since: time(since, 'since') }),
    ...(until === undefined ? {} : { until: time(until, 'until') }),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  };
}
