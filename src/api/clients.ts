/** Clients (programs) and their tokens. `ClientDesk` does the work. */
import type { z } from 'zod';
import {
  type ClientDesk,
  type ClientFacts,
  type Limits,
  loadClientDesk,
  loadClients,
  type MadeToken,
  noLimits,
  type Scope,
  type StoredClient,
} from '../client/index.ts';
import { type Config, readDuration } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import type { BodyRules } from './body.ts';
import {
  clientActed,
  clientAdd,
  clientGrant,
  type clientInfo,
  clientList,
  clientParams,
  clientRemoved,
  tokenAdd,
  type tokenInfo,
  tokenList,
  tokenMade,
  tokenParams,
  tokenQuery,
  tokenRevoked,
  tokenRotate,
} from './client-schemas.ts';
import { type Asking, DeskRoutes, openedOnce } from './desk.ts';
import { refusal } from './problem.ts';
import { checked, nothing, type Route } from './route.ts';
import { iso, isoOr } from './view.ts';

export interface ClientRoutesParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
  body: BodyRules;
}

/** Errors: `request-invalid`. */
function expiryOf(text: string): number | null {
  if (text === 'never') return null;
  const read = readDuration(text);
  if (read === undefined || read === 0)
    throw refusal('request-invalid', 'expires is not a duration', 'write it as 90d, or never');
  return Date.now() + read;
}

type SomeLimits = { [Name in keyof Limits]?: number | undefined } | undefined;

const saidLimits = (limits: SomeLimits): Partial<Limits> =>
  Object.fromEntries(Object.entries(limits ?? {}).filter(([, value]) => value !== undefined));

const madeJson = ({ id, text, client, expiresAt }: MadeToken) => ({
  ...{ id, token: text, client, expiresAt: isoOr(expiresAt) },
});

export function clientRoutes({ config, queue, log, body }: ClientRoutesParts): Route[] {
  let scopes: Awaited<ReturnType<typeof loadClients>>['scopeSchema'] | undefined;
  const desk = openedOnce(async () => {
    const { ClientRegistry, scopeSchema } = await loadClients();
    const { ClientDesk: Desk } = await loadClientDesk();
    scopes = scopeSchema;
    const registry = await ClientRegistry.open({ ...queue, folder: config.dataDir, log, now: Date.now });
    return new Desk({ registry, audit: queue.audit, config, now: Date.now });
  });
  const routes = new DeskRoutes(desk, body);
  /** What a body names, in the form that is stored. Errors: `request-invalid`. */
  const scopeOf = ({ verbs, partners, mailboxes, senders, identities }: Scope): Scope => {
    if (scopes === undefined) throw refusal('internal', 'the desk is not open');
    return checked(scopes, { verbs, partners, mailboxes, senders, identities }, 'the body');
  };
  /** Errors: `request-invalid`. */
  const factsOf = ({
    limits,
    pins,
    ...scope
  }: Scope & Pick<ClientFacts, 'pins'> & { limits?: SomeLimits }): ClientFacts => ({
    scope: scopeOf(scope),
    limits: saidLimits(limits),
    pins,
  });
  type Asked = Pick<Asking<ClientDesk, unknown, unknown>, 'desk' | 'by'>;
  const viewOf = ({ desk: own, by }: Asked, stored: StoredClient): z.output<typeof clientInfo> => {
    const { name, grants, pins, queue: hasQueue = false, createdAt } = stored;
    const may = own.why(by, stored) === undefined;
    return { name, grants, pins, queue: hasQueue, createdAt: iso(createdAt), may };
  };
  const common = { grant: 'clients', tag: 'clients', query: nothing } as const;
  const post = { ...common, method: 'POST' } as const;
  const get = { ...common, method: 'GET', grave: false, params: nothing } as const;

  return [
    routes.plain(
      {
        ...{ ...get, url: '/v1/clients', name: 'listClients' },
        summary: 'List clients',
        description: 'Programs, with their grants: those whose mail is among that of the client that asks.',
        answer: clientList,
      },
      async (asked) => ({
        clients: (await asked.desk.list(asked.by)).map((each) => viewOf(asked, each)),
      }),
    ),
    routes.told(
      {
        ...{ ...post, url: '/v1/clients', name: 'addClient', params: nothing },
        summary: 'Add a client',
        description: 'With grants that the client that asks has itself. What is left out is not granted.',
        body: { schema: clientAdd, description: 'Its name and its grants.' },
        answer: clientActed,
      },
      async (asked) => {
        const { name, ...facts } = asked.given;
        return { client: viewOf(asked, await asked.desk.add(asked.by, name, factsOf(facts))) };
      },
    ),
    routes.told(
      {
        ...{ ...post, url: '/v1/clients/:client/grant', name: 'grantClient', params: clientParams },
        summary: 'Replace grants of a client',
        description: 'Those that are named. Nobody grants more than it has, and no client changes itself.',
        body: { schema: clientGrant, description: 'The grants.' },
        answer: clientActed,
      },
      async (asked) => {
        const { desk: own, by, params, given } = asked;
        return { client: viewOf(asked, await own.grant(by, params.client, factsOf(given))) };
      },
    ),
    routes.plain(
      {
        ...{ ...post, url: '/v1/clients/:client/remove', name: 'removeClient', params: clientParams },
        summary: 'Remove a client with its tokens',
        description: 'They are refused within a second. What it has sent goes on.',
        answer: clientRemoved,
      },
      async ({ desk: own, by, params }) => {
        await own.remove(by, params.client);
        return { removed: params.client };
      },
    ),
    routes.plain(
      {
        ...{ ...get, url: '/v1/tokens', name: 'listTokens', query: tokenQuery },
        summary: 'List tokens',
        description: 'Without their secrets.',
        answer: tokenList,
      },
      async ({ desk: own, by, query }) => {
        const wanted = query.client?.toLowerCase();
        const now = Date.now();
        const tokens = (await own.tokens(by))
          .filter(({ client }) => wanted === undefined || client.toLowerCase() === wanted)
          .map(
            ({
              id,
              client,
              note,
              scope,
              limits,
              createdAt,
              expiresAt,
              usedAt,
            }): z.output<typeof tokenInfo> => ({
              ...{ id, client, note, scope, limits: limits ?? noLimits, createdAt: iso(createdAt) },
              ...{ expiresAt: isoOr(expiresAt), lastUsedAt: isoOr(usedAt) },
              state: expiresAt !== null && expiresAt <= now ? 'expired' : 'valid',
            }),
          );
        return { tokens };
      },
    ),
    routes.told(
      {
        ...{ ...post, url: '/v1/clients/:client/tokens', name: 'addToken', params: clientParams },
        summary: 'Make a token of a client',
        description:
          'It is shown this once. Grants in the body narrow those of the client, and limits hold beside its own.',
        body: { schema: tokenAdd, description: 'How long, what for, and how far.' },
        answer: tokenMade,
      },
      async ({ desk: own, by, params, given: { note, expires, limits, ...scope } }) => {
        const facts = {
          note,
          expiresAt: expiryOf(expires),
          scope: scopeOf(scope),
          limits: saidLimits(limits),
        };
        return madeJson(await own.addToken(by, params.client, facts));
      },
    ),
    routes.told(
      {
        ...{ ...post, url: '/v1/tokens/:id/rotate', name: 'rotateToken', params: tokenParams },
        summary: 'Replace a token',
        description:
          'A new one with the same scope and limits, shown this once; the old one stays valid for the overlap.',
        body: { schema: tokenRotate, description: 'How long.' },
        answer: tokenMade,
      },
      async ({ desk: own, by, params, given: { expires, overlap: text } }) => {
        const overlap = readDuration(text);
        if (overlap === undefined)
          throw refusal('request-invalid', 'overlap is not a duration', 'write it as 1d, or 0s');
        return madeJson(await own.rotateToken(by, params.id, { expiresAt: expiryOf(expires), overlap }));
      },
    ),
    routes.plain(
      {
        ...{ ...post, url: '/v1/tokens/:id/revoke', name: 'revokeToken', params: tokenParams },
        summary: 'Revoke a token',
        description: 'It is refused within a second.',
        answer: tokenRevoked,
      },
      async ({ desk: own, by, params }) => {
        await own.revokeToken(by, params.id);
        return { revoked: params.id };
      },
    ),
  ];
}
