/** People of the console: who may use it, and for what. `PersonDesk` does the work. */
import type { z } from 'zod';
import type { Acting } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import { PersonDesk, personView, type StoredPerson, UserRegistry } from '../user/index.ts';
import type { BodyRules } from './body.ts';
import { jsonBody } from './json-body.ts';
import { asRequest } from './problem.ts';
import { type Call, nothing, type Route, route } from './route.ts';
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

export interface UserRoutesParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
  body: BodyRules;
}

export function userRoutes({ config, queue, log, body }: UserRoutesParts): Route[] {
  let opened: Promise<PersonDesk> | undefined;
  /** Opened with the first request. */
  const desk = async (): Promise<PersonDesk> => {
    opened ??= (async () => {
      const { oidc } = config.console;
      const parts = { ...queue, folder: config.dataDir, log, oidc, now: Date.now };
      return new PersonDesk({ ...parts, registry: await UserRegistry.open(parts), config });
    })();
    opened.catch(() => {
      opened = undefined;
    });
    return await opened;
  };
  const acting = ({ client }: Pick<Call, 'client'>): Acting => ({ client, by: client.actor });
  const viewOf = (by: Acting, own: PersonDesk, person: StoredPerson): z.output<typeof userInfo> => ({
    ...personView(person, Date.now()),
    may: own.why(by, person) === undefined,
  });
  const common = { grant: 'users', tag: 'users', query: nothing, status: 200 } as const;

  /** A route that changes a person and takes no body. */
  const act = (
    path: string,
    name: string,
    perform: 'disable' | 'enable' | 'endSessions',
    summary: string,
    description: string,
  ) =>
    route({
      ...common,
      ...{ method: 'POST', url: `/v1/users/:user/${path}`, name, params: userParams, summary, description },
      answer: userActed,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        const person = await asRequest(() => own[perform](by, call.params.user));
        return { status: 200, json: { user: viewOf(by, own, person) } };
      },
    });

  return [
    route({
      ...common,
      ...{ method: 'GET', url: '/v1/users', name: 'listUsers', grave: false, params: nothing },
      summary: 'List the people of the console',
      description: 'Those whose mail is among that of the client.',
      answer: userList,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        return { status: 200, json: { users: (await own.list(by)).map((each) => viewOf(by, own, each)) } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/users', name: 'addUser', params: nothing },
      summary: 'Add a person',
      description: 'With rights that the client has itself. The code of its invitation is shown this once.',
      bodies: { 'application/json': { schema: userAdd, description: 'Who it is, and what it may.' } },
      answer: userInvited,
      async handle(call) {
        const { name, subject, ...rights } = await jsonBody(call, userAdd, body);
        const [by, own] = [acting(call), await desk()];
        const { person, invitation = null } = await asRequest(() => own.add(by, name, rights, subject));
        return { status: 200, json: { user: viewOf(by, own, person), invitation } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/users/:user/change', name: 'changeUser', params: userParams },
      summary: 'Replace rights of a person',
      description: 'Those that are named. Nobody gives more than it has, and nobody changes itself.',
      bodies: { 'application/json': { schema: userChange, description: 'The rights.' } },
      answer: userActed,
      async handle(call) {
        const some = await jsonBody(call, userChange, body);
        const [by, own] = [acting(call), await desk()];
        const rights = Object.fromEntries(Object.entries(some).filter(([, value]) => value !== undefined));
        const person = await asRequest(() => own.changeRights(by, call.params.user, rights));
        return { status: 200, json: { user: viewOf(by, own, person) } };
      },
    }),
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
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/users/:user/reset', name: 'resetUser', params: userParams },
      summary: 'Reset a person',
      description:
        'Password, app and passkeys are taken away, all logins end, and there is a new invitation, shown this once.',
      answer: userInvited,
      async handle(call) {
        const [by, own] = [acting(call), await desk()];
        const { person, invitation = null } = await asRequest(() => own.reset(by, call.params.user));
        return { status: 200, json: { user: viewOf(by, own, person), invitation } };
      },
    }),
    route({
      ...common,
      ...{ method: 'POST', url: '/v1/users/:user/remove', name: 'removeUser', params: userParams },
      summary: 'Remove a person',
      description: 'All its logins end within a second. The audit trail keeps its name.',
      answer: userRemoved,
      async handle(call) {
        const own = await desk();
        const { name } = await asRequest(() => own.remove(acting(call), call.params.user));
        return { status: 200, json: { removed: name } };
      },
    }),
    route({
      ...common,
      ...{ method: 'GET', url: '/v1/users/:user/logins', name: 'listUserLogins', grave: false },
      params: userParams,
      summary: 'List failed logins of a person',
      description: 'The audit trail has the others.',
      answer: failedLogins,
      async handle(call) {
        const own = await desk();
        const failed = await own.failures(acting(call), call.params.user);
        const json = failed.map(({ at, address }) => ({ at: new Date(at).toISOString(), address }));
        return { status: 200, json: { failed: json } };
      },
    }),
  ];
}
