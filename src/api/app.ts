/** The API as a whole: what happens to each request before its route, and how its server runs. */
import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { type Client, type ClientRegistry, covers, loadClients } from '../client/index.ts';
import { type Config, tlsAt } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import type { QueueRoom } from '../queue/index.ts';
import { lingerThenCut, ours, sendAnswer, sendProblem } from './answer.ts';
import { whenWhole } from './body.ts';
import { checkGrant, checkSecond } from './granting.ts';
import { RequestLimits } from './limits.ts';
import { createListener, type RunningServer, runServer } from './listener.ts';
import { documentOptions, serializersOf } from './openapi.ts';
import { Origins } from './origin.ts';
import { Places } from './places.ts';
import { problemOf, refusal } from './problem.ts';
import { checkUrl, parseQuery } from './query.ts';
import type { Grant, Route } from './route.ts';
import { routesOf } from './routes.ts';
import { Streams } from './streams.ts';

export interface ApiParts {
  config: Config;
  log: Log;
  queue: QueueRoom;
}

const answered = counter('api_requests_total', 'Answers of the HTTP API, by operation and status.', [
  'operation',
  'status',
]);

declare module 'fastify' {
  interface FastifyContextConfig {
    grant?: Grant;
    operation?: string;
  }
}

/** What is known of a request after it was admitted. */
interface Admitted {
  client: Client;
  address: string;
  end: () => void;
}

const guards = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
};

const apiVersion = '1.0.0';

/** The OpenAPI document of the API. */
export async function describeApi(parts: ApiParts): Promise<object> {
  const { app } = await makeApi(parts);
  const document = app.swagger();
  await app.close();
  return document;
}

async function makeApi({ config, log, queue }: ApiParts) {
  const { api } = config;
  const { ClientRegistry, Rates } = await loadClients();
  const registry = await ClientRegistry.open({ ...queue, folder: config.dataDir, log, now: Date.now });
  const streams = new Streams({
    events: queue.events,
    places: new Places(queue),
    registry,
    onFailure: (err) => logRarely(log, 'warn', 'api stream', { err }, 'a stream of events ended'),
  });
  const routes = routesOf({ config, queue, log, rates: new Rates(), openapi: () => app.swagger(), streams });
  const { host, hostnames, trustedProxies } = api;
  const tls = api.tls && tlsAt(api.tls, new Date());
  const origins = new Origins({ name: 'api', host, hostnames, trustedProxies, tls: tls !== undefined });
  const connections = {
    connections: api.maxConnections,
    connectionsPerAddress: api.maxConnectionsPerAddress,
  };
  const app: App = await createApp({
    ...{ routes, registry, log, origins, api, tls, connections },
    fourEyes: config.console.fourEyes,
  });
  return { app, registry, streams, tls };
}

export async function createApi(parts: ApiParts): Promise<RunningServer> {
  const { app, registry, streams, tls } = await makeApi(parts);
  const { config, log } = parts;
  const running = runServer(app.server, {
    ...{ title: 'the API', settings: config.api, tls, log },
    stopAnswers: () => streams.stop(),
  });
  registry.start();
  await streams.start();
  return {
    listen: running.listen,
    async close(timeoutMs) {
      await running.close(timeoutMs);
      registry.stop();
    },
  };
}

export interface AppParts {
  routes: readonly Route[];
  registry: Pick<ClientRegistry, 'byToken' | 'again' | 'trouble'>;
  log: Log;
  origins: Origins;
  api: Pick<Config['api'], 'maxRequestsPerClient' | 'requestsPerMinute'>;
  fourEyes?: boolean;
  tls?: { cert: Buffer; key: Buffer } | undefined;
  connections: { connections: number; connectionsPerAddress: number };
}

export type App = Awaited<ReturnType<typeof createApp>>;

/** The routes behind their door, not listening yet. */
export async function createApp({
  routes,
  registry,
  log,
  origins,
  api,
  fourEyes = false,
  tls,
  connections,
}: AppParts) {
  const limits = new RequestLimits(api.maxRequestsPerClient, api.requestsPerMinute, {
    atATime: 'api.maxRequestsPerClient',
    perMinute: 'api.requestsPerMinute',
  });
  const admitted = new WeakMap<FastifyRequest, Admitted>();
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    routerOptions: { querystringParser: parseQuery, maxParamLength: 100 },
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, ours(error)),
    serverFactory: (handler) => createListener(handler, { tls, origins, ...connections }),
  });
  // A route checks its parameters itself (route.ts), against the schemas that also make the document.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(serializerCompiler);
  // Only the handler that wants a body reads it, after everything else was checked.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined));
  app.addHook('onRoute', ({ config: facts, url, method }) => {
    if (facts?.grant === undefined) throw new Error(`${method} ${url} declares no grant`);
  });
  app.addHook('onRequest', async (request) => {
    const address = origins.check(request.raw);
    checkUrl(request.raw.url ?? '');
    const client = authenticate(registry, request);
    const end = limits.begin(client);
    admitted.set(request, { client, address, end });
    request.raw.socket.once('close', end);
    whenWhole(request.raw, () => checkStill(registry, client));
    const { grant } = request.routeOptions.config;
    if (grant !== undefined) checkGrant({ grant }, client);
  });
  app.addHook('onSend', async (_request, reply) => void reply.headers(guards));
  app.addHook('onResponse', async (request, reply) => {
    const known = admitted.get(request);
    known?.end();
    if (known) request.raw.socket.off('close', known.end);
    const { operation = 'none' } = request.routeOptions.config;
    answered.inc({ operation, status: String(reply.statusCode) });
    lingerThenCut(request);
  });
  app.setNotFoundHandler(() => {
    throw refusal('route-unknown', 'there is no such path or method');
  });
  app.setErrorHandler((error, request, reply) => {
    const known = ours(error);
    const { status, code } = problemOf(known);
    const { operation } = request.routeOptions.config;
    if (status >= 500) logRarely(log, 'error', `api ${code}`, { err: known, operation }, 'a request failed');
    return sendProblem(reply, known);
  });
  await app.register(swagger, documentOptions(routes, apiVersion));
  await app.register(async (scope) => {
    for (const route of routes) addRoute(scope, route, fourEyes, (request) => admitted.get(request));
  });
  await app.ready();
  return app;
}

function addRoute(
  app: FastifyInstance,
  route: Route,
  fourEyes: boolean,
  admission: (request: FastifyRequest) => Admitted | undefined,
): void {
  const { method, url, grant, name: operation } = route;
  app.route({
    method,
    url,
    config: { grant, operation },
    schema: serializersOf(route),
    async handler(request, reply) {
      const known = admission(request);
      if (known === undefined) throw new SealpostError('internal', 'a request came past the door');
      if (route.bodies === undefined && hasBody(request))
        throw refusal('request-invalid', 'this request has no body');
      checkSecond(route, fourEyes, false);
      const { client, address } = known;
      const { params, query, raw } = request;
      const call = { client, address, params, query, request: raw, response: reply.raw };
      return sendAnswer(reply, await route.handle(call));
    },
  });
}

function hasBody({ raw: { headers } }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * The client of a request. Errors: `client-unauthenticated`, with the same answer whatever is wrong; `clients-changed`.
 */
function authenticate(
  registry: Pick<ClientRegistry, 'byToken' | 'trouble'>,
  { raw }: FastifyRequest,
): Client {
  if (registry.trouble) throw registry.trouble;
  const token = /^Bearer +([^ ]+) *$/i.exec(raw.headers.authorization ?? '')?.[1] ?? '';
  return registry.byToken(token);
}

/**
 * Checks that a client still is what it was when its request began. Errors: `client-unauthenticated`,
 * `clients-changed`, `not-granted`.
 */
function checkStill(registry: Pick<ClientRegistry, 'again' | 'trouble'>, client: Client): void {
  if (registry.trouble) throw registry.trouble;
  const now = registry.again(client);
  if (now === undefined) throw refusal('client-unauthenticated', 'the token or login is not valid');
  if (!covers(now.grants, client.grants))
    throw refusal('not-granted', `client ${client.name} was granted less meanwhile`, 'send it again');
}
