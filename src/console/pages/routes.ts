/** Mailboxes and routes. */
import { mailboxList, refusal, routeActed, routeList } from '../../api/index.ts';
import { type PageRoute, page } from '../page.ts';
import { routesBody } from '../views/routes.ts';
import { type Told, telling, told } from './told.ts';

/** What a form names: `partners/NAME/pause`, `mailboxes/NAME/poll`, `mailboxes/NAME/destinations/NAME/resume`. */
function operationOf(path: string): { name: string; params: Record<string, string>; did: Told } {
  const [kind, first = '', third, fourth, fifth] = path.split('/');
  const act = (text: string | undefined): 'pause' | 'resume' | 'poll' => {
    if (text === 'pause' || text === 'resume' || text === 'poll') return text;
    throw refusal('request-invalid', 'there is no such act');
  };
  const did = (what: 'pause' | 'resume' | 'poll'): Told => (what === 'resume' ? 'resumed' : what);
  if (kind === 'partners') {
    const what = act(third);
    return { name: `${what}Partner`, params: { partner: first }, did: did(what) };
  }
  if (kind === 'mailboxes' && third === 'destinations') {
    const what = act(fifth);
    return {
      name: `${what}Destination`,
      params: { mailbox: first, destination: fourth ?? '' },
      did: did(what),
    };
  }
  const what = act(third);
  return { name: `${what}Mailbox`, params: { mailbox: first }, did: did(what) };
}

export const routePages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/routes',
    needs: 'viewer',
    async handle({ operations, query, person, csrf, now }) {
      const [{ mailboxes }, { routes, cursor }] = await Promise.all([
        operations.json('listMailboxes', mailboxList),
        operations.json('listRoutes', routeList, { query: { limit: '50', cursor: query.cursor } }),
      ]);
      const may = person.client.may('routes');
      const shown = query.cursor === undefined ? mailboxes : [];
      const body = routesBody({ mailboxes: shown, routes, cursor, may, csrf, now, said: told(query.did) });
      return { title: 'Mailboxes and routes', body };
    },
  }),
  page({
    method: 'POST',
    url: '/routes/act',
    needs: 'operator',
    async handle({ operations, form }) {
      const { name, params, did } = operationOf(form.get('path'));
      const why = form.get('why').trim();
      await operations.json(name, routeActed, { params, json: why === '' ? {} : { why } });
      return { to: telling('/routes', did) };
    },
  }),
];
