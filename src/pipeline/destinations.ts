/** The destinations of a configuration: those of the mailboxes, and those that get reports of suspended messages. */
import {
  type Config,
  type DestinationConfig,
  type MailboxConfig,
  ownName,
  partnerKey,
} from '../config/index.ts';
import {
  createDestination,
  createLocalDestination,
  type Destination,
  type DestinationDeps,
  type LocalDeps,
  type LocalDestination,
  UrlSigner,
} from '../handoff/index.ts';
import { tracerOf } from '../message/index.ts';
import { type FailureJob, type Pace, type QueueRoom, type Routes, routeOf } from '../queue/index.ts';

export interface DestinationsParts
  extends Pick<DestinationDeps, 'readSecret' | 'log' | 'now' | 'network' | 'rate'>,
    Pick<QueueRoom, 'deriveKey' | 'connect' | 'ensureReplicated'> {
  config: Pick<Config, 'mailboxes' | 'partners' | 'http' | 'redis' | 'limits' | 'smtp'>;
}

/** Not needed for those on the same Redis, which connect to no mail server. */
export interface LocalParts extends Omit<DestinationsParts, 'network' | 'rate'> {
  /** What a person has paused goes the ordinary way, and waits there. */
  routes: Pick<Routes, 'follow' | 'isPaused' | 'succeeded'>;
  /** As in `LocalDeps`. */
  besideHandoff?: LocalDeps['besideHandoff'];
}

export interface Destinations {
  readonly size: number;
  /** Undefined if the mailbox has no destination with that name. */
  find(mailbox: string, name: string): Destination | undefined;
  /** Attempts at a time that a route of the queue `handoff` can use. */
  most(route: string): number;
  /** What is known about the rate of such a route. */
  pace(route: string): Pace | undefined;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** Where a suspended message is reported, and what the report includes. */
export interface ReportRoute {
  destination: Destination;
  include: NonNullable<MailboxConfig['onSuspend']>['include'];
}

export interface ReportRoutes {
  /** Undefined if no report is wanted. */
  find(job: Pick<FailureJob, 'direction' | 'owner'>): ReportRoute | undefined;
  /** What is known about the rate of a route of the queue `failures`. */
  pace(route: string): Pace | undefined;
  close(): Promise<void>;
}

/** Opens the destinations of all mailboxes. Errors: those of `createDestination`. */
export async function openDestinations(parts: DestinationsParts): Promise<Destinations> {
  const keyOf = (mailbox: string, destination: string) => routeOf('handoff', { mailbox, destination });
  // all at once, because a folder that does not answer is given up only after seconds
  const opened = parts.config.mailboxes.flatMap(({ name, bodyPart, destinations }) =>
    destinations.map(async (settings): Promise<[string, Destination]> => {
      const destination = await open(settings, parts, bodyPart, name);
      return [keyOf(name, destination.name), destination];
    }),
  );
  const all = new Map(await Promise.all(opened));
  const mostOf = new Map(Array.from(all, ([route, { most }]) => [route, most]));
  return {
    size: all.size,
    find: (mailbox, name) => all.get(keyOf(mailbox, name)),
    most: (route) => mostOf.get(route) ?? Number.POSITIVE_INFINITY,
    pace: (route) => all.get(route)?.pace,
    close: () => closeAll(all.values()),
  };
}

/**
 * The destinations to which decrypt hands off itself: each is the only one of its mailbox, and on the same Redis or a
 * folder of this machine. Errors: those of `createDestination`.
 */
export async function openLocalDestinations(
  parts: LocalParts,
): Promise<(mailbox: string) => LocalDestination | undefined> {
  const opened = parts.config.mailboxes.map(
    async ({ name, bodyPart, destinations: [only, ...others] }): Promise<[string, LocalDestination][]> => {
      if (only === undefined || others.length > 0) return [];
      const { besideHandoff } = parts;
      const local = await createLocalDestination(only, { ...localDepsOf(parts, bodyPart), besideHandoff });
      return local ? [[name, local]] : [];
    },
  );
  const all = new Map((await Promise.all(opened)).flat());
  const { routes } = parts;
  if (all.size > 0) await routes.follow();
  return (mailbox) => {
    const local = all.get(mailbox);
    if (local === undefined) return undefined;
    const route = routeOf('handoff', { mailbox, destination: local.name });
    if (routes.isPaused('destination', route)) return undefined;
    return {
      name: local.name,
      async take(delivery, signal) {
        const taken = await local.take(delivery, signal);
        if (taken) routes.succeeded('destination', route);
        return taken;
      },
      ...(local.begin && { begin: local.begin }),
    };
  };
}

/** Opens the destinations of every `onSuspend`. Errors: those of `createDestination`. */
export async function openReportRoutes(parts: DestinationsParts): Promise<ReportRoutes> {
  const { mailboxes, partners } = parts.config;
  const placeOf = ({ direction, owner }: Pick<FailureJob, 'direction' | 'owner'>) =>
    routeOf('failures', { direction, owner });
  const owners = [
    ...mailboxes.map(({ name, onSuspend }) => ({ direction: 'inbound' as const, owner: name, onSuspend })),
    ...partners.map((partner) => ({
      direction: 'outbound' as const,
      owner: partnerKey(partner),
      onSuspend: partner.onSuspend,
    })),
  ];
  const opened = owners.map(async ({ direction, owner, onSuspend }): Promise<[string, ReportRoute][]> => {
    if (onSuspend === undefined) return [];
    // a report has no body part
    const destination = await open(onSuspend.destination, parts, { index: 0 }, `${direction} ${owner}`);
    return [[placeOf({ direction, owner }), { destination, include: onSuspend.include }]];
  });
  const routes = new Map((await Promise.all(opened)).flat());
  return {
    find: (job) => routes.get(placeOf(job)),
    pace: (route) => routes.get(route)?.destination.pace,
    close: () => closeAll([...routes.values()].map(({ destination }) => destination)),
  };
}

/** Makes and checks the URLs from which content is fetched, at the HTTP listener's address. */
export function contentUrls(
  { host, port, publicUrl }: Config['http'] & { port: number },
  { deriveKey }: Pick<QueueRoom, 'deriveKey'>,
): UrlSigner {
  return new UrlSigner(deriveKey('content url'), publicUrl ?? `http://${host}:${port}`);
}

function open(
  settings: DestinationConfig,
  parts: DestinationsParts,
  bodyPart: MailboxConfig['bodyPart'],
  owner: string,
): Promise<Destination> {
  return createDestination(settings, depsOf(parts, bodyPart, owner));
}

/** @param owner of the destination, whose name is unique among those of one owner */
function depsOf(
  parts: DestinationsParts,
  bodyPart: MailboxConfig['bodyPart'],
  owner: string,
): DestinationDeps {
  const { network, rate } = parts;
  return {
    ...localDepsOf(parts, bodyPart),
    network,
    owner,
    rate: (name, settings) => rate(`${owner}:${name}`, settings),
  };
}

function localDepsOf(
  parts: Omit<LocalParts, 'routes' | 'besideHandoff'>,
  bodyPart: MailboxConfig['bodyPart'],
): LocalDeps {
  const { config, readSecret, connect, ensureReplicated, deriveKey, log, now } = parts;
  const { port } = config.http;
  const signer = port === undefined ? undefined : contentUrls({ ...config.http, port }, parts);
  return {
    readSecret,
    signedUrl: signer && ((delivery, piece) => signer.sign(delivery.id, now(), piece)),
    connectRedis: (prefix) => connect('handoff', prefix),
    ensureReplicated,
    redisPrefix: config.redis.prefix,
    bodyPart,
    hostname: ownName(config),
    trace: tracerOf(deriveKey),
    limits: config.limits,
    log,
    now,
  };
}

async function closeAll(destinations: Iterable<Destination>): Promise<void> {
  await Promise.all([...destinations].map((destination) => destination.close()));
}
