/** Alerts: what needs a person, and what is silenced. */
import { alertList } from '../../api/index.ts';
import { type PageRoute, page } from '../page.ts';
import { alertsBody } from '../views/alerts.ts';
import { telling, told } from './told.ts';

export const alertPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/alerts',
    needs: 'viewer',
    async handle({ operations, query, person, csrf, now }) {
      const list = await operations.json('listAlerts', alertList);
      const may = person.client.may('silence');
      return { title: 'Alerts', body: alertsBody({ list, may, csrf, now, said: told(query.did) }) };
    },
  }),
  page({
    method: 'POST',
    url: '/alerts/silence',
    needs: 'operator',
    async handle({ operations, form }) {
      const why = form.get('why').trim();
      const json = { alert: form.get('alert'), for: form.get('for'), why };
      await operations.call('silenceAlerts', { json });
      return { to: telling('/alerts', 'silence') };
    },
  }),
  page({
    method: 'POST',
    url: '/alerts/unsilence',
    needs: 'operator',
    async handle({ operations, form }) {
      await operations.call('unsilenceAlerts', { params: { id: form.get('id') } });
      return { to: telling('/alerts', 'unsilence') };
    },
  }),
  page({
    method: 'POST',
    url: '/alerts/test',
    needs: 'operator',
    async handle({ operations }) {
      await operations.call('testAlerts');
      return { to: telling('/alerts', 'test') };
    },
  }),
];
