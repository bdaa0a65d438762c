/** Clients (programs) and their tokens. `ClientDesk` does the work. */
import type { z } from 'zod';
import {
  type Acting,
  type ClientDesk,
  loadClientDesk,
  loadClients,
  type MadeToken,
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
import { jsonBody } from './json-body.ts';
import { asRequest, refusal } from './problem.ts';
import { type Call, checked, nothing, type Route, route } from './route.ts';

export interface ClientRoutesParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
  body: BodyRules;
}

const iso = (at: number) => new Date(at).toISOString();
const isoOr = (at: number | null) => (at === null ? null : iso(at));

/** Errors: `request-invalid`. */
function expiryOf(text: string): number | null {
  if (text === 'never') return null;
  const read = readDuration(text);
  if (read === undefined || read === 0)
    throw refusal('request-invalid', 'expires is not a duration', 'write it as 90d, or never');
  return Date.now() + read;
}

const madeJson = ({ id, text, client, expiresAt }: MadeToken) => ({
  ...{ id, token: text, client, expiresAt: isoOr(expiresAt) },
});

export function clientRoutes({ config, queue, log, body }: ClientRoutesParts): Route[] {
  let opened: Promise<ClientDesk> | undefined;
  let scopes: Awaited<ReturnType<typeof loadClients>>['scopeSchema'] | undefined;
  /** Opened with the first request. */
  const desk = async (): Promise<ClientDesk> => {
    opened ??= (async () => {
      const [{ ClientRegistry, scopeSchema }, { ClientDesk: Desk }] = [
        await loadClients(),
        await loadClientDesk(),
      ];
      scopes = scopeSchema;
      const parts = { ...queue, folder: config.dataDir, log, now: Date.now };
      const registry = await ClientRegistry.open(parts);
      return new Desk({ registry, audit: queue.audit, config, now: Date.now });
    })();
    opened.catch(() => {
      opened = undefined;
    });
    return await opened;
  };
  const acting = ({ client }: Pick<Call, 'client'>): Acting => ({ client, by: client.actor });
  /** What a body names, in the form that is stored. Errors: `request-invalid`. */
  const scopeOf = ({ verbs, partners, mailboxes, senders, identities }: Scope): Scope => {
    if (scopes === undefined) throw refusal('internal', 'the desk is not open');
    return checked(scopes, { verbs, partners, mailboxes, senders, identities }, 'the body');
  };
  const limitsOf = (limits: Record<string, number | undefined> | undefined) =>
    Object.fromEntries(Object.entries(limits ?? {}).filter(([, value]) => value !== undefined));
  const viewOf = (by: Acting, own: ClientDesk, stored: StoredClient): z.output<typeof clientInfo> => {
    const { name, grants, pins, queue: hasQueue = false, createdAt } = stored;
    const may = own.why(by, stored) === undefined;
    return { name, grants, pins, queue: hasQueue, createdAt: iso(createdAt), may };
  };
  const common = { grant: 'clients', tag: 'clients', query: nothing, status: 200 } as const;

  return [
    route({
      ...common,
      ...{ method: 'GET', url: '/v1/clients', name: 'listClients', grave: false, params: nothing },
      summary: 'List clients',
      description: 'Programs, with their grants: those whose mail is among that of the client that asks.',
      answer: clientList,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        return { status: 200, json: { clients: (await own.list(by)).map((each) => viewOf(by, own, each)) } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/clients', name: 'addClient', params: nothing },
      summary: 'Add a client',
      description: 'With grants that the client that asks has itself. What is left out is not granted.',
      bodies: { 'application/json': { schema: clientAdd, description: 'Its name and its grants.' } },
      answer: clientActed,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        const { name, limits, pins, ...scope } = await jsonBody(call, clientAdd, body);
        const facts = { scope: scopeOf(scope), limits: limitsOf(limits), pins };
        const made = await asRequest(() => own.add(by, name, facts));
        return { status: 200, json: { client: viewOf(by, own, made) } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/clients/:client/grant', name: 'grantClient', params: clientParams },
      summary: 'Replace grants of a client',
      description: 'Those that are named. Nobody grants more than it has, and no client changes itself.',
      bodies: { 'application/json': { schema: clientGrant, description: 'The grants.' } },
      answer: clientActed,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        const { limits, pins, ...scope } = await jsonBody(call, clientGrant, body);
        const facts = { scope: scopeOf(scope), limits: limitsOf(limits), pins };
        const client = await asRequest(() => own.grant(by, call.params.client, facts));
        return { status: 200, json: { client: viewOf(by, own, client) } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/clients/:client/remove', name: 'removeClient', params: clientParams },
      summary: 'Remove a client with its tokens',
      description: 'They are refused within a second. What it has sent goes on.',
      answer: clientRemoved,
      async handle(call) {
        const { client } = call.params;
        const own = await desk();
        await asRequest(() => own.remove(acting(call), client));
        return { status: 200, json: { removed: client } };
      },
    }),
    route({
      ...{ ...common, query: tokenQuery },
      ...{ method: 'GET', url: '/v1/tokens', name: 'listTokens', grave: false, params: nothing },
      summary: 'List tokens',
      description: 'Without their secrets.',
      answer: tokenList,
      async handle(call) {
        const own = await desk();
        const wanted = call.query.client?.toLowerCase();
        const now = Date.now();
        const tokens = (await own.tokens(acting(call)))
          .filter(({ client }) => wanted === undefined || client.toLowerCase() === wanted)
          .map(
            ({ id, client, note, scope, createdAt, expiresAt, usedAt }): z.output<typeof tokenInfo> => ({
              ...{ id, client, note, scope, createdAt: iso(createdAt) },
              ...{ expiresAt: isoOr(expiresAt), lastUsedAt: isoOr(usedAt) },
              state: expiresAt !== null && expiresAt <= now ? 'expired' : 'valid',
            }),
          );
        return { status: 200, json: { tokens } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/clients/:client/tokens', name: 'addToken', params: clientParams },
      summary: 'Make a token of a client',
      description: 'It is shown this once. Grants in the body narrow those of the client.',
      bodies: { 'application/json': { schema: tokenAdd, description: 'How long, what for, and how far.' } },
      answer: tokenMade,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        const { note, expires, ...scope } = await jsonBody(call, tokenAdd, body);
        const facts = { note, expiresAt: expiryOf(expires), scope: scopeOf(scope) };
        return {
          status: 200,
          json: madeJson(await asRequest(() => own.addToken(by, call.params.client, facts))),
        };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/tokens/:id/rotate', name: 'rotateToken', params: tokenParams },
      summary: 'Replace a token',
      description: 'A new one with the same scope, shown this once; the old one stays valid for the overlap.',
      bodies: { 'application/json': { schema: tokenRotate, description: 'How long.' } },
      answer: tokenMade,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        const { expires, overlap: text } = await jsonBody(call, tokenRotate, body);
        const overlap = readDuration(text);
        if (overlap === undefined)
          throw refusal('request-invalid', 'overlap is not a duration', 'write it as 1d, or 0s');
        const facts = { expiresAt: expiryOf(expires), overlap };
        return {
          status: 200,
          json: madeJson(await asRequest(() => own.rotateToken(by, call.params.id, facts))),
        };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/tokens/:id/revoke', name: 'revokeToken', params: tokenParams },
      summary: 'Revoke a token',
      description: 'It is refused within a second.',
      answer: tokenRevoked,
      async handle(call) {
        const own = await desk();
        await asRequest(() => own.revokeToken(acting(call), call.params.id));
        return { status: 200, json: { revoked: call.params.id } };
      },
    }),
  ];
}
