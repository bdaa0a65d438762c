/**
 * Mailboxes and routes: their state, and what a client does with them. For a client, one that it may not see does not
 * exist.
 */
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  type ConfiguredRoute,
  configuredRoutes,
  destinationRoute,
  findMailbox,
  type MailboxView,
  partnerRoute,
  pauseRoute,
  pollMailbox,
  type QueueRoom,
  type RouteRef,
  type RouteView,
  resumeRoute,
  viewMailboxes,
  viewRoutes,
} from '../queue/index.ts';
import type { BodyRules } from './body.ts';
import { jsonBody } from './json-body.ts';
import {
  destinationParams,
  type MailboxInfo,
  mailboxList,
  mailboxParams,
  partnerParams,
  type RouteInfo,
  routeActBody,
  routeActed,
  routeList,
  routesQuery,
} from './overview-schemas.ts';
import { refusal } from './problem.ts';
import { type Call, nothing, type Route, route } from './route.ts';
import { iso, isoOr } from './view.ts';

export interface RouteDeskParts {
  config: Config;
  queue: Pick<QueueRoom, 'routes' | 'audit'>;
  body: BodyRules;
}

/** How many routes are read at a time. */
const batch = 200;

const pausedOf = (paused: RouteView['paused']) => paused && { ...paused, at: iso(paused.at) };
const time = (at: number | null) => isoOr(at ?? undefined);

export function routeInfoOf(view: RouteView): RouteInfo {
  const { kind, shown: name, mailbox, destination, partner, type, target, state, ok, failure, inLine } = view;
  return {
    ...{ kind, name, mailbox, destination, partner, type, target, state, inLine },
    ...{ paused: pausedOf(view.paused), lastSuccess: time(ok) },
    failingSince: time(view.downSince),
    lastFailure: failure && { ...failure, at: iso(failure.at), dialogue: failure.dialogue ?? [] },
  };
}

export function mailboxInfoOf({ mailbox, state, paused, folder }: MailboxView): MailboxInfo {
  const { name, addresses, imap, destinations } = mailbox;
  return {
    ...{ name, addresses, state, paused: pausedOf(paused) },
    imap: imap
      ? {
          ...{ host: imap.host, user: imap.user, folder: imap.folder },
          lastPoll: time(folder?.lastScan ?? null),
          failingSince: time(folder?.failingSince ?? null),
          lastError: folder?.lastError ?? null,
          dialogue: folder?.dialogue ?? [],
        }
      : null,
    destinations: destinations.map((each) => each.name ?? each.type),
  };
}

export function routeDeskRoutes({ config, queue, body }: RouteDeskParts): Route[] {
  const seesMailbox = (client: Client, name: string) =>
    client.maySee({ direction: 'inbound', mailbox: name, partner: null });
  const sees = (client: Client, { kind, partner, mailbox }: ConfiguredRoute) =>
    kind === 'partner' ? client.mayUsePartner(partner ?? '') : seesMailbox(client, mailbox ?? '');

  /** Errors: `mailbox-unknown`, also for one that the client may not see. */
  const mailboxOf = (client: Client, text: string) => {
    const mailbox = findMailbox(config, text);
    if (seesMailbox(client, mailbox.name)) return mailbox;
    throw new SealpostError('mailbox-unknown', `there is no mailbox ${text}`);
  };
  const partnerOf = (client: Client, text: string): RouteRef => {
    const found = config.partners.find(({ name }) => name.toLowerCase() === text.toLowerCase());
    if (found && client.mayUsePartner(found.name)) return partnerRoute(found);
    throw new SealpostError('partner-unknown', `there is no partner ${text}`);
  };
  const destinationOf = (client: Client, mailbox: string, text: string): RouteRef => {
    const { name, destinations } = mailboxOf(client, mailbox);
    const found = destinations.find((each) => (each.name ?? each.type) === text);
    if (found) return destinationRoute(name, found);
    throw new SealpostError('mailbox-unknown', `mailbox ${name} has no destination ${text}`);
  };
  const mailboxRef = ({ name }: Config['mailboxes'][number]): RouteRef => ({
    ...{ kind: 'mailbox', name, shown: name },
  });

  const get = { method: 'GET', params: nothing, status: 200, tag: 'routes', grant: 'read' } as const;
  const post = {
    method: 'POST',
    tag: 'routes',
    grant: 'routes',
    query: nothing,
    status: 200,
    answer: routeActed,
    bodies: { 'application/json': { schema: routeActBody, description: 'Why.' } },
  } as const;
  const done = (name: string, paused: boolean) => ({ status: 200, json: { name, paused } });
  /** Pauses or resumes what the parameters of a call name, if the client may. */
  const switching =
    <P>(paused: boolean, refOf: (client: Client, params: P) => RouteRef) =>
    async (call: Call<P>) => {
      const ref = refOf(call.client, call.params);
      const { why } = await jsonBody(call, routeActBody, body);
      await (paused ? pauseRoute : resumeRoute)(queue, ref, { by: call.client.actor, why });
      return done(ref.shown, paused);
    };
  const ofMailbox = (client: Client, { mailbox }: { mailbox: string }) =>
    mailboxRef(mailboxOf(client, mailbox));
  const ofPartner = (client: Client, { partner }: { partner: string }) => partnerOf(client, partner);
  const ofDestination = (
    client: Client,
    { mailbox, destination }: { mailbox: string; destination: string },
  ) => destinationOf(client, mailbox, destination);
  const later = 'Messages wait in their order; nothing fails, and no attempt counts.';
  return [
    route({
      ...get,
      url: '/v1/mailboxes',
      name: 'listMailboxes',
      summary: 'List mailboxes',
      description: 'Those whose messages the client may see, with how each is read.',
      query: nothing,
      answer: mailboxList,
      async handle({ client }) {
        const visible = config.mailboxes.filter(({ name }) => seesMailbox(client, name));
        const views = await viewMailboxes(queue.routes, visible, Date.now());
        return { status: 200, json: { mailboxes: views.map(mailboxInfoOf) } };
      },
    }),
    route({
      ...get,
      url: '/v1/routes',
      name: 'listRoutes',
      summary: 'List the ways to partners and destinations',
      description: 'With what the last attempts showed, and how many messages stand in line.',
      query: routesQuery,
      answer: routeList,
      async handle({ client, query: { state, mailbox, partner, limit = '100', cursor = '' } }) {
        const same = (wanted: string | undefined, name: string | null) =>
          wanted === undefined || wanted.toLowerCase() === name?.toLowerCase();
        // The start page asks for these again and again, and there may be 10,000 routes to count.
        const troubled =
          state === 'paused' || state === 'failing' ? await queue.routes.troubled() : undefined;
        const wanted = configuredRoutes(config)
          .filter((each) => troubled === undefined || troubled.has(`${each.kind} ${each.name}`))
          .filter((each) => `${each.kind} ${each.shown}` > cursor)
          .filter((each) => same(mailbox, each.mailbox) && same(partner, each.partner) && sees(client, each));
        const found: RouteView[] = [];
        let at = 0;
        for (; at < wanted.length && found.length <= Number(limit); at += batch)
          found.push(
            ...(await viewRoutes(queue.routes, wanted.slice(at, at + batch))).filter(
              (each) => state === undefined || each.state === state,
            ),
          );
        const page = found.slice(0, Number(limit));
        const last = found.length > page.length ? page.at(-1) : undefined;
        const next = last === undefined ? null : `${last.kind} ${last.shown}`;
        return { status: 200, json: { routes: page.map(routeInfoOf), cursor: next } };
      },
    }),
    route({
      ...post,
      url: '/v1/mailboxes/:mailbox/pause',
      name: 'pauseMailbox',
      summary: 'Pause a mailbox',
      description:
        'Its folder is not read, and mail for it over SMTP is told to come again later, until it is resumed.',
      params: mailboxParams,
      handle: switching(true, ofMailbox),
    }),
    route({
      ...post,
      url: '/v1/mailboxes/:mailbox/resume',
      name: 'resumeMailbox',
      summary: 'Resume a mailbox',
      description: 'It takes mail again.',
      params: mailboxParams,
      handle: switching(false, ofMailbox),
    }),
    route({
      ...post,
      url: '/v1/mailboxes/:mailbox/poll',
      name: 'pollMailbox',
      summary: 'Look into the folder of a mailbox now',
      description: 'Also if it waits after a failure.',
      params: mailboxParams,
      async handle(call) {
        const mailbox = mailboxOf(call.client, call.params.mailbox);
        const { why } = await jsonBody(call, routeActBody, body);
        if (mailbox.imap === undefined)
          throw refusal('route-state', `mailbox ${mailbox.name} has no imap, and is not polled`);
        await pollMailbox(queue, mailbox.name, { by: call.client.actor, why });
        const [paused] = await queue.routes.paused('mailbox', [mailbox.name]);
        return done(mailbox.name, paused !== undefined);
      },
    }),
    route({
      ...post,
      url: '/v1/partners/:partner/pause',
      name: 'pausePartner',
      summary: 'Pause sending to a partner',
      description: later,
      params: partnerParams,
      handle: switching(true, ofPartner),
    }),
    route({
      ...post,
      url: '/v1/partners/:partner/resume',
      name: 'resumePartner',
      summary: 'Resume sending to a partner',
      description: 'What waits is sent, in its order.',
      params: partnerParams,
      handle: switching(false, ofPartner),
    }),
    route({
      ...post,
      url: '/v1/mailboxes/:mailbox/destinations/:destination/pause',
      name: 'pauseDestination',
      summary: 'Pause a destination',
      description: later,
      params: destinationParams,
      handle: switching(true, ofDestination),
    }),
    route({
      ...post,
      url: '/v1/mailboxes/:mailbox/destinations/:destination/resume',
      name: 'resumeDestination',
      summary: 'Resume a destination',
      description: 'What waits is handed off, in its order.',
      params: destinationParams,
      handle: switching(false, ofDestination),
    }),
  ];
}
