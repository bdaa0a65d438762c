/** What a page gets: the operations of the API, called as its person, behind the checks that apply to people. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Asked, jsonOf, type Operations, refusal } from '../api/index.ts';
import { SealpostError } from '../errors.ts';
import type { QueueRoom } from '../queue/index.ts';
import type { Logins } from '../user/index.ts';
import { checkSite } from './csrf.ts';
import type { Form } from './form.ts';
import type { PageCall, PageOperations, Veil } from './page.ts';
import type { Known } from './visits.ts';

export interface CallParts {
  operations: Operations;
  queue: Pick<QueueRoom, 'seal' | 'unseal'>;
  logins: Logins;
  now(): number;
}

export interface CallFacts {
  request: FastifyRequest;
  reply: FastifyReply;
  visit: Known;
  form: Form;
}

/** What the person asked for, to be confirmed by another one. */
export class SecondNeeded extends SealpostError {
  readonly operation: string;
  readonly asked: Asked;

  constructor(operation: string, asked: Asked) {
    super('second-person-needed', `${operation} needs a second person`);
    this.operation = operation;
    this.asked = asked;
  }
}

export function operationsOf(
  { operations, logins }: CallParts,
  { request, reply, visit }: Omit<CallFacts, 'form'>,
): PageOperations {
  const caller = () => {
    const { person, address } = visit;
    return { client: person.client, address, request: request.raw, response: reply.raw };
  };
  const call: PageOperations['call'] = async (name, asked = {}) => {
    operations.checkGrant(name, visit.person.client);
    if (operations.isGrave(name) && request.method === 'GET') checkSite(request.raw, visit.secure);
    if (operations.isGrave(name) && !logins.isFresh(visit.session))
      throw refusal('step-up-needed', 'show again who you are');
    if (operations.needsSecond(name)) throw new SecondNeeded(name, asked);
    // The operation itself writes a stream, bypassing fastify.
    for (const [field, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined && !reply.raw.headersSent) reply.raw.setHeader(field, value);
    return await operations.call(name, caller(), asked);
  };
  return { call, json: async (name, schema, asked) => jsonOf(await call(name, asked), schema) };
}

function veilOf({ seal, unseal }: CallParts['queue'], holder: string): Veil {
  const context = `console-address:${holder}`;
  return {
    hide: (text) => seal(context, text).toString('base64url'),
    show(hidden) {
      try {
        const text = unseal(context, Buffer.from(hidden, 'base64url'));
        return typeof text === 'string' ? text : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

export function callOf(parts: CallParts, facts: CallFacts): PageCall {
  const { request, reply, visit, form } = facts;
  const texts = (value: unknown) =>
    Object.fromEntries(Object.entries(value ?? {}).map(([name, each]) => [name, String(each)]));
  return {
    person: visit.person,
    address: visit.address,
    csrf: visit.session.csrf,
    veil: veilOf(parts.queue, visit.person.client.holder),
    params: texts(request.params),
    query: texts(request.query),
    form,
    operations: operationsOf(parts, facts),
    now: new Date(parts.now()),
    stepUpFresh: parts.logins.isFresh(visit.session),
    request: request.raw,
    response: reply.raw,
  };
}
