import { setupReport } from '../../api/index.ts';
import { type PageRoute, page } from '../page.ts';
import { setupBody } from '../views/setup.ts';

export const setupPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/setup',
    needs: 'viewer',
    async handle({ operations, query, now }) {
      const asked = query.dns === 'yes' ? { query: { dns: 'yes' } } : {};
      const report = await operations.json('getSetup', setupReport, asked);
      return { title: 'Setup', body: setupBody({ report, name: query.name ?? '', now }) };
    },
  }),
];
