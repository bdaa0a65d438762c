import {
  alertList,
  certificateList,
  mailboxList,
  overview,
  routeList,
  suspendedList,
} from '../../api/index.ts';
import { type PageRoute, page } from '../page.ts';
import { nowBody } from '../views/now.ts';

export const nowPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/',
    needs: 'viewer',
    async handle({ operations, now }) {
      const [whole, suspended, { mailboxes }, paused, failing, first, { certificates, cursor }, alerts] =
        await Promise.all([
          operations.json('getOverview', overview, { query: { hours: '24' } }),
          operations.json('listSuspended', suspendedList),
          operations.json('listMailboxes', mailboxList),
          operations.json('listRoutes', routeList, { query: { state: 'paused', limit: '20' } }),
          operations.json('listRoutes', routeList, { query: { state: 'failing', limit: '20' } }),
          operations.json('listRoutes', routeList, { query: { limit: '10' } }),
          operations.json('listCertificates', certificateList, { query: { attention: '60' } }),
          operations.json('listAlerts', alertList),
        ]);
      // Broken ones first, then a few of the others.
      const routes = new Map(
        [...failing.routes, ...paused.routes, ...first.routes].map((each) => [
          `${each.kind} ${each.name}`,
          each,
        ]),
      );
      const body = nowBody({
        ...{ overview: whole, suspended, now },
        mailboxes: mailboxes.slice(0, 20),
        routes: [...routes.values()],
        certificates,
        moreCertificates: cursor !== null,
        alerts: alerts.alerts,
      });
      return { title: 'Now', body };
    },
  }),
  page({
    method: 'GET',
    url: '/events',
    needs: 'viewer',
    async handle({ operations }) {
      return { answer: await operations.call('followEvents', { query: { beats: 'events' } }) };
    },
  }),
];
