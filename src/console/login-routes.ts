/** Logging in and out: login, the first login by invitation, step-up, logout. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type LoggedIn, type Logins, leastLength, totpUri } from '../user/index.ts';
import { checkToken } from './csrf.ts';
import { Form, readForm } from './form.ts';
import { loginBody, welcomeBody } from './login-pages.ts';
import { addOidcRoutes, type OidcRoutesParts } from './oidc-routes.ts';
import type { Page } from './page.ts';
import { proofOf, safePath, stepUpBody } from './step-up.ts';
import { isKnown, type Visits } from './visits.ts';

export interface LoginRoutesParts extends Pick<OidcRoutesParts, 'provider' | 'held'> {
  config: Config;
  logins: Logins;
  queue: { seal(context: string, value: unknown): Buffer; unseal(context: string, sealed: Buffer): unknown };
  visits: Visits;
  sendPage(reply: FastifyReply, request: FastifyRequest, page: Page): FastifyReply;
}

const welcomeSeal = 'console-welcome';

interface Wrong {
  text: string;
  status: number;
}

/** Does what a form asks for. Returns what is wrong, to be shown on the page; other errors are thrown. */
async function wrongOf(work: () => Promise<void>): Promise<Wrong | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return wrongIn(error);
  }
}

function wrongIn(error: unknown): Wrong {
  if (!(error instanceof SealpostError)) throw error;
  const { code, message, hint } = error;
  const sentence = (part: string) => `${part.charAt(0).toUpperCase()}${part.slice(1)}.`;
  const text = [message, hint]
    .filter((part) => part !== undefined)
    .map(sentence)
    .join(' ');
  if (code === 'person-unauthenticated') return { text, status: 401 };
  if (code === 'login-limited') return { text, status: 429 };
  if (code === 'request-invalid') return { text, status: 400 };
  throw error;
}

const right: Wrong = { text: '', status: 200 };

export function addLoginRoutes(app: Pick<FastifyInstance, 'route'>, parts: LoginRoutesParts): void {
  const { config, logins, visits, sendPage, queue } = parts;
  const { secondFactor, oidc } = config.console;
  const passkeys = logins.passkeys.areThere;
  const anybody = { config: { access: 'anybody' } } as const;
  const query = (request: FastifyRequest, name: string) =>
    new URLSearchParams(request.url.split('?')[1] ?? '').get(name) ?? '';

  addOidcRoutes(app, { ...parts, enter });

  const loginPage = (to: string, { text: wrong, status }: Wrong = right): Page => {
    const body = loginBody({ to, wrong, secondFactor, passkeys, oidc: oidc !== undefined });
    return { title: 'Log in', body, status };
  };

  /** Starts a session. An earlier one of this browser ends. */
  async function enter(request: FastifyRequest, reply: FastifyReply, { session, device }: LoggedIn) {
    const before = visits.of(request).session;
    if (before) await logins.sessions.end(before.id);
    visits.give(reply, session, device);
  }

  app.route({
    ...anybody,
    method: 'GET',
    url: '/login',
    async handler(request, reply) {
      const to = safePath(query(request, 'to'));
      return sendPage(reply, request, isKnown(visits.of(request)) ? { to } : loginPage(to));
    },
  });

  app.route({
    ...anybody,
    method: 'POST',
    url: '/login',
    async handler(request, reply) {
      const form = await readForm(request.raw);
      const to = safePath(form.get('to'));
      const shown = {
        ...{ password: form.get('password'), code: form.get('code'), passkey: form.get('passkey') },
      };
      const wrong = await wrongOf(async () =>
        enter(request, reply, await logins.login(form.get('name'), shown, visits.of(request))),
      );
      return sendPage(reply, request, wrong ? loginPage(to, wrong) : { to });
    },
  });

  app.route({
    ...anybody,
    method: 'POST',
    url: '/login/passkey',
    async handler(request, reply) {
      await readForm(request.raw);
      const visit = visits.of(request);
      const json = await logins.passkeyOptions(visit.person, visit);
      return sendPage(reply, request, { answer: { status: 200, json } });
    },
  });

  const welcomePage = (name = '', { text: wrong, status }: Wrong = right, given?: string): Page => {
    const secret = secondFactor ? (given ?? logins.newSecret()) : undefined;
    const sealed = secret === undefined ? '' : queue.seal(welcomeSeal, { secret }).toString('base64url');
    const uri = secret === undefined ? '' : totpUri(secret, name === '' ? 'console' : name);
    const body = welcomeBody({ name, wrong, secret, uri, sealed, leastLength });
    return { title: 'Welcome', body, status };
  };

  /** The secret that this page showed. Errors: `request-invalid`. */
  function secretOf(form: Form): string {
    try {
      const value = queue.unseal(welcomeSeal, Buffer.from(form.get('sealed'), 'base64url'));
      if (typeof value === 'object' && value !== null && 'secret' in value) return String(value.secret);
    } catch {
      // It is treated like one that was left out.
    }
    throw new SealpostError('request-invalid', 'the page was changed', { hint: 'load it again' });
  }

  app.route({
    ...anybody,
    method: 'GET',
    url: '/welcome',
    handler: async (request, reply) => sendPage(reply, request, welcomePage()),
  });

  app.route({
    ...anybody,
    method: 'POST',
    url: '/welcome',
    async handler(request, reply) {
      const form = await readForm(request.raw);
      const name = form.get('name');
      let secret: string | undefined;
      const wrong = await wrongOf(async () => {
        secret = secondFactor ? secretOf(form) : undefined;
        const password = form.get('password');
        if (password !== form.get('again'))
          throw new SealpostError('request-invalid', 'the passwords differ');
        const shown = { password, code: form.get('code') };
        const invitation = form.get('invitation').trim();
        const came = await logins.welcome(name, invitation, shown, secret ?? '', visits.of(request));
        await enter(request, reply, came);
      });
      return sendPage(reply, request, wrong ? welcomePage(name, wrong, secret) : { to: '/' });
    },
  });

  const stepUpPage = (
    { session, person }: { session: { csrf: string }; person: { kind: 'local' | 'oidc' } },
    to: string,
    { text: wrong, status }: Wrong = right,
  ): Page => {
    const action = person.kind === 'oidc' ? to : `/step-up?to=${encodeURIComponent(to)}`;
    const view = { action, held: false, csrf: session.csrf, form: new Form(), kind: person.kind };
    return {
      title: 'Confirm that it is you',
      body: stepUpBody({ ...view, wrong, secondFactor, passkeys }),
      status,
    };
  };

  app.route({
    config: { access: 'viewer' },
    method: 'GET',
    url: '/step-up',
    async handler(request, reply) {
      const known = await visits.known(request, 'viewer');
      return sendPage(reply, request, stepUpPage(known, safePath(query(request, 'to'))));
    },
  });

  app.route({
    config: { access: 'viewer' },
    method: 'POST',
    url: '/step-up',
    async handler(request, reply) {
      const known = await visits.known(request, 'viewer');
      const form = await readForm(request.raw);
      await visits.again(known);
      checkToken(form, known.session);
      const to = safePath(query(request, 'to'));
      const wrong = await wrongOf(async () =>
        visits.give(reply, await logins.stepUp(known.person, known.session, proofOf(form), known)),
      );
      return sendPage(reply, request, wrong ? stepUpPage(known, to, wrong) : { to });
    },
  });

  app.route({
    ...anybody,
    method: 'POST',
    url: '/logout',
    async handler(request, reply) {
      const form = await readForm(request.raw);
      const visit = visits.of(request);
      if (isKnown(visit)) {
        checkToken(form, visit.session);
        await logins.logout(visit.person, visit.session);
      }
      visits.drop(reply);
      return sendPage(reply, request, { to: '/login' });
    },
  });
}
