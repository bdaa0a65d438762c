/** Clients (programs) and their tokens. */
import { clientActed, clientList, refusal, tokenList, tokenMade } from '../../api/index.ts';
import type { Form } from '../form.ts';
import { html } from '../html.ts';
import { type PageRoute, page } from '../page.ts';
import { clientBody, clientsBody } from '../views/clients.ts';
import { onceBody } from '../views/once.ts';
import { namesOf, pathTo } from '../views/parts.ts';
import { namedIn } from './holders.ts';
import { telling, told } from './told.ts';

const grantsOf = (form: Form) => ({
  verbs: form.all('verbs'),
  partners: namesOf(form.get('partners')),
  mailboxes: namesOf(form.get('mailboxes')),
  senders: namesOf(form.get('senders')),
  identities: namesOf(form.get('identities')),
});

/** Errors: `request-invalid`, for an empty field too unless `ifEmpty` says what it means. */
function limitsOf(form: Form, prefix = '', ifEmpty = '') {
  const number = (name: string): number => {
    const text = form.get(prefix + name).trim() || ifEmpty;
    if (!/^\d{1,12}$/.test(text)) throw refusal('request-invalid', `${name} is not a whole number`);
    return Number(text);
  };
  return { messages: number('messages'), octets: number('octets'), size: number('size') };
}

const pathOf = (name: string) => pathTo('clients', name);

export const clientPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/clients',
    needs: 'administrator',
    async handle({ operations, person, query, csrf, now }) {
      const { clients } = await operations.json('listClients', clientList);
      const own = person.client.grants.verbs;
      return { title: 'Clients', body: clientsBody({ clients, own, csrf, now, said: told(query.did) }) };
    },
  }),
  page({
    method: 'POST',
    url: '/clients/add',
    needs: 'administrator',
    async handle({ operations, form }) {
      const json = { name: form.get('name').trim(), ...grantsOf(form) };
      const { client } = await operations.json('addClient', clientActed, { json });
      return { to: telling(pathOf(client.name), 'client-added') };
    },
  }),
  page({
    method: 'GET',
    url: '/clients/:client',
    needs: 'administrator',
    async handle({ operations, person, params, query, csrf, now }) {
      const { clients } = await operations.json('listClients', clientList);
      const client = namedIn(clients, params.client, 'client-unknown');
      const { tokens } = await operations.json('listTokens', tokenList, { query: { client: client.name } });
      const own = person.client.grants.verbs;
      const view = { client, tokens, own, csrf, now, said: told(query.did) };
      return { title: client.name, body: clientBody(view) };
    },
  }),
  page({
    method: 'POST',
    url: '/clients/:client/grant',
    needs: 'administrator',
    async handle({ operations, params, form }) {
      const json = { ...grantsOf(form), limits: limitsOf(form) };
      const { client } = await operations.json('grantClient', clientActed, { params, json });
      return { to: telling(pathOf(client.name), 'granted') };
    },
  }),
  page({
    method: 'POST',
    url: '/clients/:client/remove',
    needs: 'administrator',
    async handle({ operations, params }) {
      await operations.call('removeClient', { params });
      return { to: telling('/clients', 'client-removed') };
    },
  }),
  page({
    method: 'POST',
    url: '/clients/:client/tokens',
    needs: 'administrator',
    async handle({ operations, params, form }) {
      const limits = limitsOf(form, 'token-', '0');
      const json = { note: form.get('note').trim(), expires: form.get('expires'), limits };
      const made = await operations.json('addToken', tokenMade, { params, json });
      return { title: `A token of ${made.client}`, body: [onceBody(made), back(made.client)] };
    },
  }),
  page({
    method: 'POST',
    url: '/tokens/rotate',
    needs: 'administrator',
    async handle({ operations, form }) {
      const asked = { params: { id: form.get('id') }, json: { overlap: form.get('overlap') } };
      const made = await operations.json('rotateToken', tokenMade, asked);
      return { title: `A token of ${made.client}`, body: [onceBody(made), back(made.client)] };
    },
  }),
  page({
    method: 'POST',
    url: '/tokens/revoke',
    needs: 'administrator',
    async handle({ operations, form }) {
      await operations.call('revokeToken', { params: { id: form.get('id') } });
      return { to: telling('/clients', 'token-revoked') };
    },
  }),
];

const back = (client: string) => html`<p class="more"><a href=${pathOf(client)}>Back to ${client}</a></p>`;
