/** Login and step-up at the provider (`console.oidc`): there, and back. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { refusal } from '../api/index.ts';
import type { SealedValues } from '../redis/index.ts';
import type { Came, LoggedIn, Logins, Provider } from '../user/index.ts';
import { cookieOf, dropCookie, setCookie } from './cookies.ts';
import { checkToken, csrfField } from './csrf.ts';
import { Form, readForm } from './form.ts';
import { html } from './html.ts';
import type { Page } from './page.ts';
import { safePath } from './step-up.ts';
import { isKnown, type Visits } from './visits.ts';

export interface OidcRoutesParts {
  provider: Provider | undefined;
  /** Forms that wait until their person comes back from the provider. */
  held: SealedValues;
  logins: Logins;
  visits: Visits;
  enter(request: FastifyRequest, reply: FastifyReply, came: LoggedIn): Promise<void>;
  sendPage(reply: FastifyReply, request: FastifyRequest, page: Page): FastifyReply;
}

/** How many seconds a login at the provider may take, and the same in milliseconds. */
const lasts = 600;

const heldSchema = z.strictObject({
  person: z.string(),
  action: z.string(),
  fields: z.array(z.tuple([z.string(), z.string()])),
});

export function addOidcRoutes(app: Pick<FastifyInstance, 'route'>, parts: OidcRoutesParts): void {
  const { provider, held, logins, visits, enter, sendPage } = parts;
  if (provider === undefined) return;
  const add = (reply: FastifyReply, cookie: string) => reply.header('Set-Cookie', cookie);

  app.route<{ Querystring: { to?: string } }>({
    config: { access: 'anybody' },
    method: 'GET',
    url: '/login/oidc',
    async handler(request, reply) {
      const { url, kept } = await provider.begin('login', safePath(request.query.to ?? ''));
      add(reply, setCookie('oidc', kept, lasts));
      return sendPage(reply, request, { to: url });
    },
  });

  // After a form, browsers follow no redirect to another site (form-action), but they follow a link.
  app.route({
    config: { access: 'viewer' },
    method: 'POST',
    url: '/login/oidc/step-up',
    async handler(request, reply) {
      const { person, session } = await visits.known(request, 'viewer');
      const form = await readForm(request.raw);
      checkToken(form, session);
      const action = safePath(form.get('_action'));
      const { url, kept, flow } = await provider.begin('step-up', action);
      const fields = form.entries();
      if (fields.length > 0 || form.has('_post'))
        await held.put(flow.state, { person: person.id, action, fields }, lasts * 1000);
      add(reply, setCookie('oidc', kept, lasts));
      const body = html`<p>Your organization asks you to log in again, and brings you back here.</p>
        <p><a href=${url}>Go on to the login of your organization</a></p>`;
      return sendPage(reply, request, { title: 'Confirm that it is you', body });
    },
  });

  app.route({
    config: { access: 'anybody' },
    method: 'GET',
    url: '/login/oidc/back',
    async handler(request, reply) {
      const kept = cookieOf(request.raw, 'oidc');
      add(reply, dropCookie('oidc'));
      const visit = visits.of(request);
      let right = async () => {};
      const came = await provider.finish(request.url.split('?')[1] ?? '', kept, async (flow) => {
        right = await logins.cameBack(flow, visit, visit.person);
      });
      if (came.flow.purpose === 'step-up') {
        const next = await proved(request, reply, came);
        await right();
        return sendPage(reply, request, next);
      }
      const entered = await logins.loginAs(came, visit);
      await right();
      await enter(request, reply, entered);
      return sendPage(reply, request, { to: safePath(came.flow.to) });
    },
  });

  /** Back to what the person wanted to do. Nothing has been done yet. */
  async function proved(request: FastifyRequest, reply: FastifyReply, came: Came): Promise<Page> {
    const visit = visits.of(request);
    if (!isKnown(visit)) throw refusal('person-unauthenticated', 'the login has ended meanwhile');
    const { person } = visit;
    visit.session = await logins.stepUpAs(came, person, visit.session, visit);
    visits.give(reply, visit.session);
    const waiting = heldSchema.safeParse(await held.get(came.flow.state));
    if (!waiting.success || waiting.data.person !== person.id) return { to: safePath(came.flow.to) };
    const { action, fields } = waiting.data;
    const hidden = new Form(new URLSearchParams(fields))
      .entries()
      .map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`);
    const body = html`<p>Nothing has been done yet.</p>
      <form method="post" action=${action}>
        ${csrfField(visit.session.csrf)} ${hidden}
        <p><button>Go on</button> <a href="/">Leave it</a></p>
      </form>`;
    return { title: 'Confirmed', body };
  }
}
