/**
 * What a client does with messages: resume, retry, terminate, decode again. Each act needs a verb of its own, and is
 * audited.
 */
import type { z } from 'zod';
import type { Verb } from '../client/index.ts';
import type { Act, MessageRecord, QueueRoom } from '../queue/index.ts';
import type { BodyRules } from './body.ts';
import { jsonBody } from './json-body.ts';
import { visible } from './messages.ts';
import { refusal } from './problem.ts';
import { nothing, type Route, route } from './route.ts';
import { actBody, acted, idParams, terminateBody } from './schemas.ts';

export interface ActParts {
  queue: Pick<QueueRoom, 'flow' | 'ledger'>;
  body: BodyRules;
}

/** How the acts differ. */
interface ActFacts {
  path: string;
  grant: Verb;
  name: string;
  summary: string;
  description: string;
  /** `terminateBody` asks for a reason. */
  body: z.ZodType<{ why?: string | undefined }>;
}

const largest = 16 * 1024;

export function actRoutes({ queue, body }: ActParts): Route[] {
  const { flow, ledger } = queue;
  /** `perform` returns a word for the state that the message is not in, if nothing was done. */
  const act = (
    facts: ActFacts,
    perform: (message: MessageRecord, act: Act) => Promise<string | undefined>,
  ) => {
    const { path, body: schema, ...rest } = facts;
    return route({
      ...rest,
      ...{
        method: 'POST',
        url: `/v1/messages/:id/${path}`,
        tag: 'messages',
        params: idParams,
        query: nothing,
      },
      bodies: { 'application/json': { schema, description: 'Why.' } },
      status: 200,
      answer: acted,
      async handle(call) {
        const { client, params } = call;
        const { why } = await jsonBody(call, schema, body, largest);
        const message = await visible(queue, client, params.id);
        const not = await perform(message, { by: client.actor, ...(why !== undefined && { why }) });
        if (not !== undefined) throw refusal('message-state', `message ${params.id} ${not}`);
        const state = (await ledger.get(params.id))?.state ?? 'terminated';
        return { status: 200, json: { id: params.id, state } };
      },
    });
  };
  return [
    act(
      {
        path: 'resume',
        grant: 'resume',
        name: 'resumeMessage',
        summary: 'Resume a suspended message',
        description: 'The step that failed is done again.',
        body: actBody,
      },
      async ({ id }, act) => ((await flow.resume(id, act)) ? undefined : 'is not suspended'),
    ),
    act(
      {
        path: 'retry',
        grant: 'retry',
        name: 'retryMessage',
        summary: 'Try a message again now',
        description: 'What waits for its next attempt, or for its route, is tried at once.',
        body: actBody,
      },
      async ({ id }, act) => ((await flow.retry(id, act)) ? undefined : 'waits for no attempt'),
    ),
    act(
      {
        path: 'terminate',
        grant: 'terminate',
        name: 'terminateMessage',
        summary: 'End a message for good',
        description: 'It is not delivered or sent any more, and its octets are removed.',
        body: terminateBody,
      },
      async ({ id }, { by, why = '' }) =>
        (await flow.terminate(id, why, { by })) ? undefined : 'has already ended',
    ),
    act(
      {
        path: 'decode-again',
        grant: 'decode-again',
        name: 'decodeMessageAgain',
        summary: 'Decode a message again',
        description:
          'From its original, with the current keys and settings: a suspended message, or a delivered one whose original is kept. What was delivered before is delivered again, under another idempotency key.',
        body: actBody,
      },
      async ({ id, direction }, act) => {
        if (direction === 'outbound') return 'is outbound, and is not decoded';
        await flow.decodeAgain(id, act);
        return undefined;
      },
    ),
  ];
}
