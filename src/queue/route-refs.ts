/** The routes of a configuration, as people name them: `PARTNER`, or `MAILBOX/DESTINATION`. */
import { type Config, type DestinationConfig, type PartnerConfig, partnerKey } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { routeOf } from './jobs.ts';
import type { RouteRef } from './route-acts.ts';

export interface ConfiguredRoute extends RouteRef {
  kind: 'partner' | 'destination';
  partner: string | null;
  mailbox: string | null;
  destination: string | null;
  /** `smtp`, or the type of the destination. */
  type: string;
  /** Host, folder or queue, without secrets. */
  target: string;
}

type Settings = Pick<Config, 'mailboxes' | 'partners'>;

export function partnerRoute(partner: PartnerConfig): ConfiguredRoute {
  const { name, route } = partner;
  const { folder, host = 'mx', port } = route;
  return {
    ...{ kind: 'partner', name: partnerKey(partner), shown: name },
    ...{ partner: name, mailbox: null, destination: null },
    ...(folder === undefined
      ? { type: 'smtp', target: `${host}:${port}` }
      : { type: 'directory', target: folder }),
  };
}

export function destinationRoute(mailbox: string, config: DestinationConfig): ConfiguredRoute {
  const destination = config.name ?? config.type;
  return {
    ...{ kind: 'destination', name: routeOf('handoff', { mailbox, destination }) },
    ...{ shown: `${mailbox}/${destination}`, partner: null, mailbox, destination },
    ...{ type: config.type, target: targetOf(config) },
  };
}

function targetOf(config: DestinationConfig): string {
  switch (config.type) {
    case 'directory':
      return config.path;
    case 'webhook':
      return new URL(config.url).origin;
    case 'queue':
      return config.queue;
    case 'smtp':
    case 'lmtp':
      return config.host ?? 'mx';
    case 's3':
      return config.bucket;
  }
}

/** All of them: destinations first, then partners, each by name. */
export function configuredRoutes({ mailboxes, partners }: Settings): ConfiguredRoute[] {
  const all = [
    ...mailboxes.flatMap(({ name, destinations }) =>
      destinations.map((each) => destinationRoute(name, each)),
    ),
    ...partners.map(partnerRoute),
  ];
  const orderOf = ({ kind, shown }: ConfiguredRoute) => `${kind} ${shown}`;
  return all.sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
}

/** @throws {SealpostError} `partner-unknown` */
export function findRoute(settings: Settings, text: string): ConfiguredRoute {
  const wanted = text.toLowerCase();
  const found = configuredRoutes(settings).find(({ shown }) => shown.toLowerCase() === wanted);
  if (found) return found;
  throw new SealpostError('partner-unknown', `there is no route ${text}`, {
    hint: 'name a partner, or a destination as MAILBOX/DESTINATION: see sealpost routes list',
  });
}

/** @throws {SealpostError} `mailbox-unknown` */
export function findMailbox(
  { mailboxes }: Pick<Config, 'mailboxes'>,
  text: string,
): Config['mailboxes'][number] {
  const found = mailboxes.find(({ name }) => name.toLowerCase() === text.toLowerCase());
  if (found) return found;
  throw new SealpostError('mailbox-unknown', `there is no mailbox ${text}`);
}
