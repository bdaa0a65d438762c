/** People of the console: who may use it, and what for. */
import { failedLogins, refusal, seesAll, userActed, userInvited, userList } from '../../api/index.ts';
import type { Form } from '../form.ts';
import { type PageRoute, page } from '../page.ts';
import { onceBody } from '../views/once.ts';
import { namesOf, pathTo } from '../views/parts.ts';
import { userBody, usersBody } from '../views/users.ts';
import { namedIn } from './holders.ts';
import { type Told, telling, told } from './told.ts';

const rightsOf = (form: Form) => ({
  role: form.get('role'),
  mailboxes: namesOf(form.get('mailboxes')),
  partners: namesOf(form.get('partners')),
  content: form.get('content') === 'yes',
});

/** Forms with their operations, and the notice after each. */
const acts: Readonly<Record<string, { operation: string; did: Told }>> = {
  disable: { operation: 'disableUser', did: 'disable' },
  enable: { operation: 'enableUser', did: 'enable' },
  'end-sessions': { operation: 'endUserSessions', did: 'end-sessions' },
};

export const userPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/users',
    needs: 'administrator',
    async handle({ operations, person, query, csrf, now }) {
      const { users } = await operations.json('listUsers', userList);
      const all = seesAll(person.client);
      return { title: 'Users', body: usersBody({ users, all, csrf, now, said: told(query.did) }) };
    },
  }),
  page({
    method: 'POST',
    url: '/users/add',
    needs: 'administrator',
    async handle({ operations, form }) {
      const subject = form.get('subject').trim();
      const json = { name: form.get('name').trim(), ...rightsOf(form), ...(subject !== '' && { subject }) };
      const made = await operations.json('addUser', userInvited, { json });
      if (made.invitation === null) return { to: pathTo('users', made.user.name) };
      return { title: `${made.user.name} is added`, body: onceBody(made) };
    },
  }),
  page({
    method: 'GET',
    url: '/users/:user',
    needs: 'administrator',
    async handle({ operations, params, query, csrf, now }) {
      const { users } = await operations.json('listUsers', userList);
      const user = namedIn(users, params.user, 'person-unknown');
      const { failed } = await operations.json('listUserLogins', failedLogins, { params });
      return { title: user.name, body: userBody({ user, failed, csrf, now, said: told(query.did) }) };
    },
  }),
  page({
    method: 'POST',
    url: '/users/:user/change',
    needs: 'administrator',
    async handle({ operations, params, form }) {
      const { user } = await operations.json('changeUser', userActed, { params, json: rightsOf(form) });
      return { to: telling(pathTo('users', user.name), 'changed') };
    },
  }),
  page({
    method: 'POST',
    url: '/users/:user/act',
    needs: 'administrator',
    async handle({ operations, params, form }) {
      const what = form.get('act');
      if (what === 'reset') {
        const made = await operations.json('resetUser', userInvited, { params });
        return { title: `${made.user.name} is reset`, body: onceBody(made) };
      }
      if (what === 'remove') {
        await operations.call('removeUser', { params });
        return { to: telling('/users', 'user-removed') };
      }
      const act = Object.hasOwn(acts, what) ? acts[what] : undefined;
      if (act === undefined) throw refusal('request-invalid', 'there is no such act');
      const { user } = await operations.json(act.operation, userActed, { params });
      return { to: telling(pathTo('users', user.name), act.did) };
    },
  }),
];
