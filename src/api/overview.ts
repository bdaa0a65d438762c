/**
 * What happens and what is waiting, for the installation as a whole. The cost does not grow with the number of
 * messages.
 */
import { seesAll } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import type { QueueRoom, Tally } from '../queue/index.ts';
import { granted } from './granted.ts';
import { overview, overviewQuery, suspendedList } from './overview-schemas.ts';
import { nothing, type Route, route } from './route.ts';
import { iso, isoOr } from './view.ts';

export interface OverviewParts {
  config: Pick<Config, 'mailboxes' | 'partners'>;
  queue: Pick<QueueRoom, 'ledger'>;
}

export function overviewRoutes({ config, queue: { ledger } }: OverviewParts): Route[] {
  const common = { method: 'GET', grant: 'read', params: nothing, status: 200 } as const;
  return [
    route({
      ...common,
      url: '/v1/overview',
      tag: 'directory',
      name: 'getOverview',
      summary: 'See what happens and what waits',
      description:
        'Of the last hours, in steps of ten minutes, with how long messages took. Counted for the installation as a whole, so only for a client of all mailboxes and partners.',
      query: overviewQuery,
      answer: overview,
      async handle({ client, query: { hours = '24' } }) {
        const now = Date.now();
        const at = iso(now);
        if (!seesAll(client))
          return { status: 200, json: { at, whole: false, waiting: null, flow: null, latency: null } };
        const waiting = async (state: 'received' | 'decoded' | 'queued' | 'suspended') => {
          const { messages, oldest } = await ledger.waiting(state);
          return { messages, oldest: isoOr(oldest ?? undefined) };
        };
        const [received, decoded, queued, suspended, { spans, latency }] = await Promise.all([
          waiting('received'),
          waiting('decoded'),
          waiting('queued'),
          waiting('suspended'),
          ledger.tallies(now - Number(hours) * 3_600_000, now),
        ]);
        return {
          status: 200,
          json: {
            ...{ at, whole: true, waiting: { received, decoded, queued, suspended } },
            ...{ flow: spans.map(flowOf), latency },
          },
        };
      },
    }),
    route({
      ...common,
      url: '/v1/suspended',
      tag: 'messages',
      name: 'listSuspended',
      summary: 'See what is suspended, in groups',
      description:
        'By reason, partner, mailbox and day, those with the newest message first. Only what the client may see, of the newest 20,000.',
      query: nothing,
      answer: suspendedList,
      async handle({ client }) {
        const { groups, more } = await ledger.suspended(granted(client, config));
        const shown = groups.map((each) => ({ ...each, oldest: iso(each.oldest), newest: iso(each.newest) }));
        return { status: 200, json: { groups: shown, more } };
      },
    }),
  ];
}

function flowOf({ from, received, delivered, queued, sent, suspended }: Tally) {
  return {
    ...{ from: iso(from), received, delivered, queued, sent },
    ...{ suspendedInbound: suspended.inbound, suspendedOutbound: suspended.outbound },
  };
}
