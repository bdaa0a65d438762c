/** What a client does with messages: resume, retry, terminate, decode again. Each act has its own verb, and is audited. */
import type { z } from 'zod';
import type { Client } from '../client/index.ts';
import type { Act, QueueRoom } from '../queue/index.ts';
import { type BodyRules, bodyOf, wholeBody } from './body.ts';
import { parseJson } from './json.ts';
import { visible } from './messages.ts';
import { refusal } from './problem.ts';
import { type Call, checked, nothing, type Route, route } from './route.ts';
import { actBody, acted, idParams, terminateBody } from './schemas.ts';

export interface ActParts {
  queue: Pick<QueueRoom, 'flow' | 'ledger'>;
  body: BodyRules;
}

const largest = 16 * 1024;

/** Who did it, for ledger and audit trail. */
export function actor({ name, credential }: Client): string {
  return `client ${name}, token ${credential}`;
}

export function actRoutes({ queue, body }: ActParts): Route[] {
  const { flow, ledger } = queue;
  /** The body, or `{}` without one. */
  const read = async <S extends z.ZodType>({ request, response }: Call, schema: S): Promise<z.output<S>> => {
    const octets = await wholeBody(bodyOf(request, response, largest, body), () => undefined);
    const type = request.headers['content-type'] ?? '';
    if (octets.length > 0 && !/^application\/json\b/i.test(type))
      throw refusal('media-type-unsupported', 'the body is not application/json');
    return checked(schema, octets.length === 0 ? {} : parseJson(octets), 'the body');
  };
  const bodies = (schema: z.ZodType) => ({ 'application/json': { schema, description: 'Why.' } });
  const common = { method: 'POST', tag: 'messages', params: idParams, query: nothing, status: 200 } as const;
  const done = async (id: string) => {
    const state = (await ledger.get(id))?.state ?? 'terminated';
    return { status: 200, json: { id, state } };
  };
  const actOf = (client: Client, why: string | undefined): Act => ({
    by: actor(client),
    ...(why === undefined ? {} : { why }),
  });
  return [
    route({
      ...common,
      url: '/v1/messages/:id/resume',
      grant: 'resume',
      name: 'resumeMessage',
      summary: 'Resume a suspended message',
      description: 'The step that failed is done again.',
      bodies: bodies(actBody),
      answer: acted,
      async handle(call) {
        const { client, params } = call;
        const { why } = await read(call, actBody);
        await visible(queue, client, params.id);
        if (!(await flow.resume(params.id, actOf(client, why)))) throw state(params.id, 'is not suspended');
        return await done(params.id);
      },
    }),
    route({
      ...common,
      url: '/v1/messages/:id/retry',
      grant: 'retry',
      name: 'retryMessage',
      summary: 'Try a message again now',
      description: 'What waits for its next attempt, or for its route, is tried at once.',
      bodies: bodies(actBody),
      answer: acted,
      async handle(call) {
        const { client, params } = call;
        const { why } = await read(call, actBody);
        await visible(queue, client, params.id);
        if (!(await flow.retry(params.id, actOf(client, why))))
          throw state(params.id, 'waits for no attempt');
        return await done(params.id);
      },
    }),
    route({
      ...common,
      url: '/v1/messages/:id/terminate',
      grant: 'terminate',
      name: 'terminateMessage',
      summary: 'End a message for good',
      description: 'It is not delivered or sent any more, and its octets are removed.',
      bodies: bodies(terminateBody),
      answer: acted,
      async handle(call) {
        const { client, params } = call;
        const { why } = await read(call, terminateBody);
        await visible(queue, client, params.id);
        if (!(await flow.terminate(params.id, why, { by: actor(client) })))
          throw state(params.id, 'has already ended');
        return await done(params.id);
      },
    }),
    route({
      ...common,
      url: '/v1/messages/:id/decode-again',
      grant: 'decode-again',
      name: 'decodeMessageAgain',
      summary: 'Decode a message again',
      description:
        'From its original, with the current keys and settings: a suspended message, or a delivered one whose original is kept. What was delivered before is delivered again, under another idempotency key.',
      bodies: bodies(actBody),
      answer: acted,
      async handle(call) {
        const { client, params } = call;
        const { why } = await read(call, actBody);
        const { direction } = await visible(queue, client, params.id);
        if (direction === 'outbound') throw state(params.id, 'is outbound, and is not decoded');
        await flow.decodeAgain(params.id, actOf(client, why));
        return await done(params.id);
      },
    }),
  ];
}

const state = (id: string, what: string) => refusal('message-state', `message ${id} ${what}`);
