/** The partners and mailboxes that a client may use, and how much is waiting for each. */
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { nothing, type Route, route } from './route.ts';
import { partnerList, queueList } from './schemas.ts';

export interface DirectoryParts {
  config: Pick<Config, 'mailboxes' | 'partners'>;
  queue: Pick<QueueRoom, 'ledger'>;
}

export function directoryRoutes({ config, queue }: DirectoryParts): Route[] {
  const common = { method: 'GET', tag: 'directory', params: nothing, query: nothing, status: 200 } as const;
  const partnersOf = (client: Client) => config.partners.filter(({ name }) => client.mayUsePartner(name));
  const mailboxesOf = (client: Client) =>
    config.mailboxes.filter(({ name }) =>
      client.maySee({ direction: 'inbound', mailbox: name, partner: null }),
    );
  const shown = ({ name, addresses }: { name: string; addresses: string[] }) => ({ name, addresses });
  return [
    route({
      ...common,
      url: '/v1/partners',
      // Clients that only read need the names as well: those of their grants, and no others.
      grant: 'token',
      name: 'listPartners',
      summary: 'List partners',
      description: 'Those that the grants of the client name.',
      answer: partnerList,
      handle: async ({ client }) => ({ status: 200, json: { partners: partnersOf(client).map(shown) } }),
    }),
    route({
      ...common,
      url: '/v1/queues',
      grant: 'read',
      name: 'listQueues',
      summary: 'See how much waits',
      description: 'For each mailbox and partner that the client may see; up to 10,000 of each are counted.',
      answer: queueList,
      async handle({ client }) {
        const inbound = mailboxesOf(client).map(({ name }) => ({ name, direction: 'inbound' as const }));
        const outbound = partnersOf(client).map(({ name }) => ({ name, direction: 'outbound' as const }));
        const counted = [...inbound, ...outbound].map(async ({ name, direction }) => ({
          ...{ name, direction },
          ...(await queue.ledger.backlog(direction, name)),
        }));
        return { status: 200, json: { queues: await Promise.all(counted) } };
      },
    }),
  ];
}
