/**
 * Alerts: what needs a person, who silenced what, and what was announced. For a client, an alert that it may not see
 * does not exist.
 */
import type { z } from 'zod';
import {
  type AlertBook,
  changeDocument,
  type Labels,
  type ListedAlert,
  listAlerts,
  type Silence,
  silenceAlerts,
  tellTest,
  unsilenceAlerts,
} from '../alert/index.ts';
import { type Client, seesAll } from '../client/index.ts';
import { readDuration } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { QueueRoom } from '../queue/index.ts';
import {
  alertChanges,
  alertList,
  changesQuery,
  silenceBody,
  silenceParams,
  silence as silenceSchema,
  tested,
} from './alert-schemas.ts';
import type { BodyRules } from './body.ts';
import { jsonBody } from './json-body.ts';
import { asRequest, refusal } from './problem.ts';
import { nothing, type Route, route } from './route.ts';

export interface AlertsRoutesParts {
  book: AlertBook;
  queue: Pick<QueueRoom, 'audit'>;
  body: BodyRules;
  now: () => number;
}

const iso = (at: number) => new Date(at).toISOString();
const isoOr = (at: number | null) => (at === null ? null : iso(at));

/** Whether the client sees the whole installation. */

/**
 * Alerts about a mailbox are visible to those who may see its mail; alerts about mail to a partner, to those who may
 * send to it.
 */
function maySee(client: Client, { mailbox, partner, direction }: Labels): boolean {
  if (seesAll(client)) return true;
  if (mailbox !== undefined) return client.maySee({ direction: 'inbound', mailbox, partner: null });
  if (direction !== 'outbound' || partner === undefined) return false;
  return client.maySee({ direction: 'outbound', mailbox: null, partner });
}

function silenceJson({ from, until, ...rest }: Silence): z.output<typeof silenceSchema> {
  return { ...rest, from: iso(from), until: iso(until) };
}

function alertJson({ since, firedAt, goodSince: _, step: __, toldAt: ___, ...rest }: ListedAlert) {
  return { ...rest, since: iso(since), firedAt: isoOr(firedAt) };
}

export function alertRoutes({ book, queue, body, now }: AlertsRoutesParts): Route[] {
  const common = { params: nothing, query: nothing, status: 200, tag: 'alerts' } as const;
  const silencing = (client: Client) => ({ book, audit: queue.audit, now: now(), by: client.actor });
  return [
    route({
      ...common,
      ...{ method: 'GET', url: '/v1/alerts', grant: 'alerts', name: 'listAlerts' },
      summary: 'See what needs a person',
      description: 'Alerts that hold now, silences, and how people are told.',
      answer: alertList,
      async handle({ client }) {
        const { alerts, silences, channels, looked } = await listAlerts(book, now());
        const all = seesAll(client);
        const shown = alerts.filter(({ labels }) => maySee(client, labels));
        const own = silences.filter(
          ({ id, match }) => maySeeMatch(client, match) || shown.some(({ silencedBy }) => silencedBy === id),
        );
        const json: z.output<typeof alertList> = {
          alerts: shown.map(alertJson),
          silences: own.map(silenceJson),
          channels: (all ? channels : []).map(({ name, at, outcome, trouble }) => ({
            ...{ name, at: iso(at), outcome },
            trouble: trouble && { ...trouble, since: iso(trouble.since) },
          })),
          lookedAt: looked && iso(looked.at),
        };
        return { status: 200, json };
      },
    }),
    route({
      ...{ ...common, query: changesQuery },
      ...{ method: 'GET', url: '/v1/alerts/changes', grant: 'alerts', name: 'listAlertChanges' },
      summary: 'See what was told',
      description:
        'Alerts that began, became worse, lasted or ended, page by page: ask again with cursor in after.',
      answer: alertChanges,
      async handle({ client, query: { after = '0-0' } }) {
        const { changes, last, more, missed } = await book.changes(after);
        const shown = changes.filter(({ alert }) => maySee(client, alert.labels));
        return { status: 200, json: { changes: shown.map(changeDocument), cursor: last, more, missed } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/alerts/silences', grant: 'silence', name: 'silenceAlerts' },
      summary: 'Silence alerts for a time',
      description:
        'Alerts that have all that is named. They are still looked at, and told after that time if they last. A client of some mailboxes and partners names one of these, or one alert that it sees.',
      bodies: { 'application/json': { schema: silenceBody, description: 'Which, how long and why.' } },
      answer: silenceSchema,
      async handle(call) {
        const { for: length, until, why, ...match } = await jsonBody(call, silenceBody, body);
        const { client } = call;
        if (match.alert !== undefined) {
          const known = (await book.states()).get(match.alert);
          if (known === undefined || !maySee(client, known.labels))
            throw refusal('request-invalid', `there is no alert ${match.alert}`);
        } else if (!maySeeMatch(client, match))
          throw refusal('not-granted', 'name a mailbox, partner or alert of your own');
        const end = endOf(length, until, now());
        const made = await asRequest(() => silenceAlerts(silencing(client), { match, until: end, why }));
        return { status: 200, json: silenceJson(made) };
      },
    }),
    route({
      ...{ ...common, params: silenceParams },
      ...{ method: 'POST', url: '/v1/alerts/silences/:id/end', grant: 'silence', name: 'unsilenceAlerts' },
      summary: 'End a silence',
      description: 'What lasts is told again.',
      answer: silenceSchema,
      async handle({ client, params }) {
        const known = (await book.silences(now())).find(({ id }) => id === params.id);
        if (known !== undefined && !(await mayEnd(client, known)))
          throw new SealpostError('silence-unknown', `there is no silence ${params.id}`);
        return { status: 200, json: silenceJson(await unsilenceAlerts(silencing(client), params.id)) };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/alerts/test', grant: 'silence', name: 'testAlerts' },
      summary: 'Have a test told by all channels',
      description: 'For clients of all mailboxes and partners.',
      answer: tested,
      async handle({ client }) {
        if (!seesAll(client)) throw refusal('not-granted', 'a test concerns all mailboxes and partners');
        await queue.audit.add({ at: now(), by: client.actor, what: 'alert-test' });
        return { status: 200, json: { id: await tellTest(book, client.actor, now()) } };
      },
    }),
  ];

  async function mayEnd(client: Client, { match }: Silence): Promise<boolean> {
    if (match.alert === undefined) return maySeeMatch(client, match);
    const known = (await book.states()).get(match.alert);
    return seesAll(client) || (known !== undefined && maySee(client, known.labels));
  }
}

/** Whether a silence covers nothing that the client may not see. */
function maySeeMatch(client: Client, { mailbox, partner }: Silence['match']): boolean {
  if (seesAll(client)) return true;
  return mailbox !== undefined && maySee(client, { mailbox, ...(partner !== undefined && { partner }) });
}

function endOf(length: string | undefined, until: string | undefined, now: number): number {
  if ((length === undefined) === (until === undefined))
    throw refusal('request-invalid', 'write for or until, and not both');
  const end = length === undefined ? Date.parse(until ?? '') : now + (readDuration(length) ?? Number.NaN);
  if (Number.isNaN(end))
    throw refusal(
      'request-invalid',
      length === undefined ? 'until is not a time' : 'for is not a duration such as 4h',
    );
  return end;
}
