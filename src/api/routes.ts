/** The table of routes. Each declares its grant. */
import { z } from 'zod';
import { AlertBook } from '../alert/index.ts';
import type { Rates } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import type { Log } from '../log.ts';
import { PartnerBook } from '../pipeline/submit.ts';
import type { QueueRoom } from '../queue/index.ts';
import { actRoutes } from './acts.ts';
import { alertRoutes } from './alerts.ts';
import { bulkRoutes } from './bulk.ts';
import { certificateRoutes } from './certificates.ts';
import { checkRoutes } from './checks.ts';
import { clientRoutes } from './clients.ts';
import { contentRoutes } from './content.ts';
import { directoryRoutes } from './directory.ts';
import { messageRoutes } from './messages.ts';
import { overviewRoutes } from './overview.ts';
import { partnerDetailRoutes } from './partner-detail.ts';
import { readinessRoutes } from './readiness.ts';
import { replayRoutes } from './replays.ts';
import { nothing, type Route, route } from './route.ts';
import { routeDeskRoutes } from './route-desk.ts';
import { setupRoutes } from './setup.ts';
import type { Streams } from './streams.ts';
import { submittingRoute } from './submitting.ts';
import { userRoutes } from './users.ts';

export interface RoutesParts {
  config: Config;
  queue: QueueRoom;
  rates: Rates;
  log: Log;
  /** The OpenAPI document, for programs. */
  openapi?: () => object;
  streams: Streams;
}

export function routesOf({ config, queue, log, rates, openapi, streams }: RoutesParts): Route[] {
  const { api, partners } = config;
  const { maxSize, maxJsonSize, bodyTimeout, bodyMinimumRate } = api;
  const body = { timeout: bodyTimeout, minimumRate: bodyMinimumRate };
  return [
    submittingRoute({
      partners: new PartnerBook(partners),
      rates,
      ...{ maxSize, maxJsonSize },
      body,
      withIntake: (work) => work(queue.intake),
      now: () => new Date(),
    }),
    ...messageRoutes({ config, queue, body }),
    ...contentRoutes({ config, queue }),
    ...actRoutes({ queue, body }),
    ...replayRoutes({ config, queue, body }),
    ...bulkRoutes({ config, queue, body }),
    ...overviewRoutes({ config, queue }),
    ...routeDeskRoutes({ config, queue, body }),
    ...setupRoutes({ config, queue }),
    ...checkRoutes({ queue }),
    ...certificateRoutes({ config, queue, log, body }),
    ...readinessRoutes({ config, queue, log }),
    ...directoryRoutes({ config, queue }),
    ...partnerDetailRoutes({ config, queue }),
    ...alertRoutes({ book: new AlertBook(queue), queue, body, now: Date.now }),
    ...userRoutes({ config, queue, log, body }),
    ...clientRoutes({ config, queue, log, body }),
    streams.route,
    ...(openapi ? [documentRoute(openapi)] : []),
  ];
}

function documentRoute(openapi: () => object): Route {
  return route({
    method: 'GET',
    url: '/v1/openapi.json',
    grant: 'token',
    name: 'getOpenApi',
    tag: 'directory',
    summary: 'This document',
    description: 'The OpenAPI document of this API.',
    params: nothing,
    query: nothing,
    status: 200,
    answer: z.record(z.string(), z.unknown()),
    handle: async () => ({ status: 200, json: openapi() }),
  });
}
