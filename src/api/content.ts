/** The octets of messages. Each look is in the audit trail before the first octet leaves. */
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { composeStreamed, messageLimits, messageOctets } from '../handoff/index.ts';
import { readStoredContent } from '../pipeline/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { visible } from './messages.ts';
import { nothing, type Route, route } from './route.ts';
import { idParams } from './schemas.ts';

export interface ContentParts {
  config: Pick<Config, 'limits'>;
  queue: QueueRoom;
}

export function contentRoutes({ config, queue }: ContentParts): Route[] {
  const { flow, spool, audit } = queue;
  const common = {
    method: 'GET',
    tag: 'messages',
    grant: 'content',
    params: idParams,
    query: nothing,
  } as const;
  const look = async (client: Client, id: string, what: 'content' | 'original') =>
    await audit.add({ at: Date.now(), by: client.actor, what, id });
  return [
    route({
      ...common,
      url: '/v1/messages/:id/content',
      name: 'getContent',
      summary: 'Get the decoded content of an inbound message',
      description: 'As a mail, while it is kept: decoded, and not delivered to every destination yet.',
      status: 200,
      answer: { type: 'message/rfc822', description: 'The decoded mail.' },
      async handle({ client, params: { id } }) {
        await visible(queue, client, id);
        const stored = await readStoredContent(id, queue);
        if (stored === undefined) throw gone(`the decoded content of ${id} is not kept`);
        const message = await composeStreamed(stored, messageLimits(config.limits));
        await look(client, id, 'content');
        const stream = messageOctets(message, stored.content());
        return { stream, type: 'message/rfc822', octets: message.octets, fileName: `${id}.eml` };
      },
    }),
    route({
      ...common,
      url: '/v1/messages/:id/original',
      name: 'getOriginal',
      summary: 'Get a message as it came',
      description:
        'Inbound: as it was received, mostly encrypted; retention.original says how long it is kept after delivery. Outbound: as it was submitted, until it is sent.',
      status: 200,
      answer: { type: 'message/rfc822', description: 'The mail.' },
      async handle({ client, params: { id } }) {
        await visible(queue, client, id);
        const ref = await flow.originalOf(id);
        if (ref === null) throw gone(`the original octets of ${id} are no longer kept`);
        await look(client, id, 'original');
        return { stream: spool.open(ref), type: 'message/rfc822', octets: ref.octets, fileName: `${id}.eml` };
      },
    }),
  ];
}

function gone(what: string): SealpostError {
  return new SealpostError('original-gone', what, {
    hint: 'retention.original says how long originals are kept',
  });
}
