/**
 * Messages that wait for certificates and keys: listed, and put back to work. Only those that the client may see are
 * considered.
 */
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import type { Held, QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import type { BodyRules } from './body.ts';
import { jsonBody } from './json-body.ts';
import {
  type ReplayList,
  type ReplayWanted,
  replayBody,
  replayList,
  replayQuery,
} from './readiness-schemas.ts';
import { nothing, type Route, route } from './route.ts';
import { Turns } from './turns.ts';

export interface ReplaysParts {
  config: Config;
  queue: QueueRoom;
  body: BodyRules;
}

/** How many messages are shown; the counts cover all. */
const mostShown = 1000;
/** How many runs this process does at a time: each goes through all waiting messages. A client has one at most. */
const mostRuns = 2;

export function replayRoutes({ config, queue, body }: ReplaysParts): Route[] {
  const { replays, ledger, partnerNames } = queue;
  const turns = new Turns('replays', mostRuns, 1);

  /** Errors: `redis-unreachable`, `redis-full`; `rate-limited` while another one of the client runs. */
  const run = async (client: Client, wanted: ReplayWanted, dryRun: boolean): Promise<ReplayList> =>
    await turns.take(client, () => listed(client, wanted, dryRun));

  async function listed(client: Client, wanted: ReplayWanted, dryRun: boolean): Promise<ReplayList> {
    const { replayMessages, standingsOf } = await import('../replay/index.ts');
    const nameOf = (partner: string | null) => (partner === null ? null : partnerNames.present(partner));
    const partner = wanted.partner === undefined ? undefined : partnerNames.key(wanted.partner);
    const only = (held: Held) =>
      client.maySee({ ...held, partner: nameOf(held.partner) }) &&
      (partner === undefined || held.partner === partner) &&
      (wanted.mailbox === undefined || held.mailbox === wanted.mailbox) &&
      (wanted.reason === undefined || held.reason === wanted.reason);
    const act = { by: client.actor, ...(wanted.why !== undefined && { why: wanted.why }) };
    const result: ReplayList = { replayed: 0, waiting: 0, messages: [] };
    for (const direction of ['inbound', 'outbound'] as const) {
      const standing = await standingsOf(sealedValues(queue, 'standing'), direction);
      const found = replayMessages(
        { replays, ledger, config, standing },
        // A program is not a person: what a rule approved must have stood for a while.
        { direction, person: false, act, only, dryRun },
      );
      for await (const each of found) {
        if (each.replayed) result.replayed += 1;
        else result.waiting += 1;
        if (result.messages.length < mostShown)
          result.messages.push({ ...each, partner: nameOf(each.partner) });
      }
    }
    return result;
  }

  const common = {
    url: '/v1/replay',
    tag: 'messages',
    params: nothing,
    status: 200,
    answer: replayList,
  } as const;
  return [
    route({
      ...common,
      method: 'GET',
      grant: 'read',
      name: 'previewReplay',
      summary: 'See what waits for certificates and keys',
      description:
        'Suspended messages that the client may see, oldest first: which of them would go on now, and what the others wait for. Nothing is done.',
      query: replayQuery,
      handle: async ({ client, query }) => ({ status: 200, json: await run(client, query, true) }),
    }),
    route({
      ...common,
      method: 'POST',
      grant: 'replay',
      name: 'replayMessages',
      summary: 'Replay what waited for certificates and keys',
      description:
        'Inbound messages are decoded again and outbound ones sent, each once for a change of keys. The daemon does it by itself (`retry.onKeys`); this does not wait for its next look, nor for the limits of the day.',
      query: nothing,
      bodies: { 'application/json': { schema: replayBody, description: 'Which messages, and why.' } },
      async handle(call) {
        const wanted = await jsonBody(call, replayBody, body);
        return { status: 200, json: await run(call.client, wanted, false) };
      },
    }),
  ];
}
