import { checkReport, seesAll, setupReport } from '../../api/index.ts';
import { type PageRoute, page } from '../page.ts';
import { setupBody } from '../views/setup.ts';
import { telling, told } from './told.ts';

export const setupPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/setup',
    needs: 'viewer',
    async handle({ operations, query, person, csrf, now }) {
      const asked = query.dns === 'yes' ? { query: { dns: 'yes' } } : {};
      const report = await operations.json('getSetup', setupReport, asked);
      const { client } = person;
      const check =
        client.may('check') && seesAll(client) ? await operations.json('getCheck', checkReport) : undefined;
      const body = setupBody({ report, check, name: query.name ?? '', csrf, now, said: told(query.did) });
      return { title: 'Setup', body };
    },
  }),
  page({
    method: 'POST',
    url: '/setup/check',
    needs: 'administrator',
    async handle({ operations }) {
      await operations.json('startCheck', checkReport);
      return { to: telling('/setup', 'check') };
    },
  }),
];
