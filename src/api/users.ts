/** People of the console: who may use it, and for what. `PersonDesk` does the work. */
import type { z } from 'zod';
import type { Config } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import { PersonDesk, personView, type StoredPerson, UserRegistry } from '../user/index.ts';
import type { BodyRules } from './body.ts';
import { type Asking, DeskRoutes, openedOnce } from './desk.ts';
import { nothing, type Route } from './route.ts';
import {
  failedLogins,
  userActed,
  userAdd,
  userChange,
  type userInfo,
  userInvited,
  userList,
  userParams,
  userRemoved,
} from './user-schemas.ts';
import { iso } from './view.ts';

export interface UserRoutesParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
  body: BodyRules;
}

export function userRoutes({ config, queue, log, body }: UserRoutesParts): Route[] {
  const desk = openedOnce(async () => {
    const { oidc } = config.console;
    const parts = { ...queue, folder: config.dataDir, log, oidc, now: Date.now };
    return new PersonDesk({ ...parts, registry: await UserRegistry.open(parts), config });
  });
  const routes = new DeskRoutes(desk, body);
  type Asked = Pick<Asking<PersonDesk, unknown, unknown>, 'desk' | 'by'>;
  const viewOf = ({ desk: own, by }: Asked, person: StoredPerson): z.output<typeof userInfo> => ({
    ...personView(person, Date.now()),
    may: own.why(by, person) === undefined,
  });
  const common = { grant: 'users', tag: 'users', query: nothing } as const;
  const post = { ...common, method: 'POST', params: userParams } as const;

  /** A route that changes a person and takes no body. */
  const act = (
    path: string,
    name: string,
    perform: 'disable' | 'enable' | 'endSessions',
    summary: string,
    description: string,
  ) =>
    routes.plain(
      { ...post, url: `/v1/users/:user/${path}`, name, summary, description, answer: userActed },
      async (asked) => ({ user: viewOf(asked, await asked.desk[perform](asked.by, asked.params.user)) }),
    );

  return [
    routes.plain(
      {
        ...common,
        ...{ method: 'GET', url: '/v1/users', name: 'listUsers', grave: false, params: nothing },
        summary: 'List the people of the console',
        description: 'Those whose mail is among that of the client.',
        answer: userList,
      },
      async (asked) => ({
        users: (await asked.desk.list(asked.by)).map((each) => viewOf(asked, each)),
      }),
    ),
    routes.told(
      {
        ...{ ...post, url: '/v1/users', name: 'addUser', params: nothing },
        summary: 'Add a person',
        description:
          'With rights that the client has itself. The code of its invitation is shown this once. A subject is for clients of all mailboxes and partners to add.',
        body: { schema: userAdd, description: 'Who it is, and what it may.' },
        answer: userInvited,
      },
      async (asked) => {
        const { name, subject, ...rights } = asked.given;
        const { person, invitation = null } = await asked.desk.add(asked.by, name, rights, subject);
        return { user: viewOf(asked, person), invitation };
      },
    ),
    routes.told(
      {
        ...{ ...post, url: '/v1/users/:user/change', name: 'changeUser' },
        summary: 'Replace rights of a person',
        description: 'Those that are named. Nobody gives more than it has, and nobody changes itself.',
        body: { schema: userChange, description: 'The rights.' },
        answer: userActed,
      },
      async (asked) => {
        const some = Object.entries(asked.given).filter(([, value]) => value !== undefined);
        const { user } = asked.params;
        return {
          user: viewOf(asked, await asked.desk.changeRights(asked.by, user, Object.fromEntries(some))),
        };
      },
    ),
    act(
      'disable',
      'disableUser',
      'disable',
      'Disable a person',
      'All its logins end within a second, and new ones are refused.',
    ),
    act('enable', 'enableUser', 'enable', 'Enable a person', 'It may log in again.'),
    act(
      'end-sessions',
      'endUserSessions',
      'endSessions',
      'End all logins of a person',
      'Within a second. It may log in again.',
    ),
    routes.plain(
      {
        ...{ ...post, url: '/v1/users/:user/reset', name: 'resetUser' },
        summary: 'Reset a person',
        description:
          'Password, app and passkeys are taken away, all logins end, and there is a new invitation, shown this once.',
        answer: userInvited,
      },
      async (asked) => {
        const { person, invitation = null } = await asked.desk.reset(asked.by, asked.params.user);
        return { user: viewOf(asked, person), invitation };
      },
    ),
    routes.plain(
      {
        ...{ ...post, url: '/v1/users/:user/remove', name: 'removeUser' },
        summary: 'Remove a person',
        description: 'All its logins end within a second. The audit trail keeps its name.',
        answer: userRemoved,
      },
      async ({ desk: own, by, params }) => ({ removed: (await own.remove(by, params.user)).name }),
    ),
    routes.plain(
      {
        ...common,
        ...{ method: 'GET', url: '/v1/users/:user/logins', name: 'listUserLogins', grave: false },
        params: userParams,
        summary: 'List failed logins of a person',
        description: 'The audit trail has the others.',
        answer: failedLogins,
      },
      async ({ desk: own, by, params }) => {
        const failed = await own.failures(by, params.user);
        return { failed: failed.map(({ at, address }) => ({ at: iso(at), address })) };
      },
    ),
  ];
}
