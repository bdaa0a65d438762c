/** The console as a whole: what happens to each request before its page, and how pages are answered. */
import type { ServerResponse } from 'node:http';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { createListener, type Origins, parseQuery, problemOf, refusal, sendAnswer } from '../api/index.ts';
import type { Config } from '../config/index.ts';
import { errorTable, hasCode, SealpostError } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import type { QueueRoom } from '../queue/index.ts';
import type { Logins, Role, Session } from '../user/index.ts';
import { callOf, SecondNeeded } from './call.ts';
import { checkOrigin, checkToken } from './csrf.ts';
import { type PublicFile, publicFiles } from './files.ts';
import { Form, readForm } from './form.ts';
import { headersOf, noStore } from './headers.ts';
import { html } from './html.ts';
import { layout } from './layout.ts';
import { addLoginRoutes } from './login-routes.ts';
import type { OidcRoutesParts } from './oidc-routes.ts';
import type { Page, PageRoute } from './page.ts';
import { askForSecond, type SecondParts } from './second-pages.ts';
import { hasProof, proofOf, stepUpBody } from './step-up.ts';
import { isKnown, type Known, Visits } from './visits.ts';

export interface ConsoleParts extends SecondParts, Pick<OidcRoutesParts, 'provider' | 'held'> {
  config: Config;
  log: Log;
  queue: Pick<QueueRoom, 'seal' | 'unseal'>;
  origins: Origins;
  logins: Logins;
  pages: readonly PageRoute[];
  tls?: { cert: Buffer; key: Buffer } | undefined;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may ask for it: anybody, or somebody with a role. */
    access?: 'anybody' | Role;
  }
}

/** Milliseconds until a stream notices that its session has ended. */
const streamLook = 1000;

const answered = counter('console_requests_total', 'Answers of the console, by status.', ['status']);

export type ConsoleApp = Awaited<ReturnType<typeof createConsoleApp>>;

/** The pages behind their door, not listening yet. */
export async function createConsoleApp(parts: ConsoleParts) {
  const { config, log, origins, logins, pages, tls } = parts;
  const { console: settings } = config;
  const { requestsPerMinute, maxRequestsPerPerson } = settings;
  const visits = new Visits({ ...parts, requestsPerMinute, requestsPerPerson: maxRequestsPerPerson });
  const listener = {
    ...{ tls, origins, connections: settings.maxConnections },
    connectionsPerAddress: settings.maxConnectionsPerAddress,
  };
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    routerOptions: { querystringParser: parseQuery, maxParamLength: 200 },
    frameworkErrors: (error, request, reply) => void sendError(reply, request, error),
    serverFactory: (handler) => createListener(handler, listener),
  });

  /** The document for what a page returned. */
  function sendPage(reply: FastifyReply, request: FastifyRequest, page: Page): FastifyReply {
    reply.header('Cache-Control', noStore);
    if ('to' in page) return reply.redirect(page.to, 303);
    if ('answer' in page) {
      if ('live' in page.answer) watchStream(reply.raw, visits.of(request).session);
      return sendAnswer(reply, page.answer);
    }
    const { title, body, status = 200 } = page;
    const visit = visits.of(request);
    const who = isKnown(visit) ? { person: visit.person, csrf: visit.session.csrf } : {};
    const path = request.url.split('?')[0] ?? '/';
    return reply
      .code(status)
      .type('text/html; charset=utf-8')
      .send(layout({ title, body, path, fourEyes: settings.fourEyes, ...who }));
  }

  /** A stream ends with its session. An open stream does not prolong the session. */
  function watchStream(stream: ServerResponse, session: Session | undefined): void {
    const watch = setInterval(async () => {
      const isThere = session !== undefined && (await logins.isOpen(session).catch(() => true));
      if (!isThere) stream.destroy();
    }, streamLook).unref();
    stream.once('close', () => clearInterval(watch));
  }

  function sendError(reply: FastifyReply, request: FastifyRequest, error: unknown): FastifyReply {
    const known = ours(error);
    const { status, code, title, detail, hint } = problemOf(known);
    if (status >= 500) logRarely(log, 'error', `console ${code}`, { err: known }, 'a page failed');
    // What fastify itself refuses has passed through no hook.
    if (!reply.hasHeader('Content-Security-Policy')) reply.headers(headersOf(false));
    reply.header('Cache-Control', noStore).code(status);
    if (/\bapplication\/json\b/.test(request.headers.accept ?? ''))
      return reply.type('application/problem+json').send(problemOf(known));
    const { remedy } = known instanceof SealpostError ? errorTable[known.code] : errorTable.internal;
    const body = html`<p>${detail ?? title}.</p><p>${hint ?? remedy}</p><p><a href="/">To the start</a></p>`;
    return reply
      .type('text/html; charset=utf-8')
      .send(layout({ title: `${title.charAt(0).toUpperCase()}${title.slice(1)}`, body, path: '' }));
  }

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined));
  app.addHook('onRoute', ({ config: facts, url, method }) => {
    if (facts?.access === undefined) throw new Error(`${method} ${url} does not say who may ask for it`);
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headersOf(false));
    const visit = await visits.begin(request, reply);
    reply.headers(headersOf(visit.secure));
    if (request.method !== 'GET') checkOrigin(request.raw, visit.secure);
  });
  app.addHook('onResponse', async (_request, reply) => {
    answered.inc({ status: String(reply.statusCode) });
  });
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, request, refusal('route-unknown', 'the console has no such page')),
  );
  app.setErrorHandler(async (error, request, reply) => {
    const known = ours(error);
    const isOurs = known instanceof SealpostError;
    const { access } = request.routeOptions.config;
    const asked = access !== undefined && access !== 'anybody' && request.method === 'GET';
    if (asked && isOurs && known.code === 'person-unauthenticated')
      return sendPage(reply, request, { to: `/login?to=${encodeURIComponent(request.url)}` });
    return sendError(reply, request, known);
  });

  for (const route of pages) addPage(route);
  addFiles(publicFiles());
  addLoginRoutes(app, { ...parts, visits, sendPage });
  await app.ready();
  return app;

  function addPage(route: PageRoute): void {
    app.route({
      method: route.method,
      url: route.url,
      config: { access: route.needs },
      async handler(request, reply) {
        const visit = visits.of(request);
        if (isKnown(visit)) return await show(route, request, reply, visit);
        throw refusal('person-unauthenticated', 'you have not logged in, or too long ago');
      },
    });
  }

  /** A page for somebody who has logged in. */
  async function show(
    route: PageRoute,
    request: FastifyRequest,
    reply: FastifyReply,
    visit: Known,
  ): Promise<FastifyReply> {
    const what = `${route.method} ${route.url}`;
    const form = route.method === 'POST' ? await readForm(request.raw) : new Form();
    if (route.method === 'POST') await visits.again(visit);
    try {
      await visits.known(request, route.needs);
      if (route.method === 'POST') checkToken(form, visit.session);
      if (hasProof(form)) await prove(visit, form, reply);
      if (route.stepUp === true && !logins.isFresh(visit.session))
        throw refusal('step-up-needed', 'show again who you are');
      const call = callOf(parts, { request, reply, visit, form });
      return sendPage(reply, request, await route.handle(call));
    } catch (error) {
      const page = await insteadOf(error, { what, request, visit, form });
      if (page === undefined) throw error;
      return sendPage(reply, request, page);
    }
  }

  /** The form itself has proved who the person is: the session has another id from now on. */
  async function prove(visit: Known, form: Form, reply: FastifyReply): Promise<void> {
    visit.session = await logins.stepUp(visit.person, visit.session, proofOf(form), visit);
    visits.give(reply, visit.session);
  }

  /** What is shown in place of a page; undefined for errors that are shown as errors. */
  async function insteadOf(
    error: unknown,
    { what, request, visit, form }: { what: string; request: FastifyRequest; visit: Known; form: Form },
  ): Promise<Page | undefined> {
    if (!(error instanceof SealpostError)) return undefined;
    const { code, message } = error;
    if (error instanceof SecondNeeded) return await askForSecond(parts, visit.person, error);
    if (code === 'not-granted') await visits.denied(visit, what);
    // Another site, or a program, links to a message: the person has to say whether to look at it.
    if (code === 'request-forged' && request.method === 'GET') return cameFromElsewhere(request.url);
    const again = code === 'person-unauthenticated' && hasProof(form);
    if (code !== 'step-up-needed' && !again) return undefined;
    if (request.method === 'GET') return { to: `/step-up?to=${encodeURIComponent(request.url)}` };
    const { csrf } = visit.session;
    const { kind } = visit.person;
    const wrong = again ? message : '';
    const view = { action: request.url, held: true, csrf, form, wrong, kind };
    const { secondFactor } = settings;
    const body = stepUpBody({ ...view, secondFactor, passkeys: logins.passkeys.areThere });
    return { title: 'Confirm that it is you', body, status: 403 };
  }

  function addFiles(files: ReadonlyMap<string, PublicFile>): void {
    app.route<{ Params: { name: string } }>({
      method: 'GET',
      url: '/static/:name',
      config: { access: 'anybody' },
      async handler(request, reply) {
        const file = files.get(request.params.name);
        if (file === undefined) throw refusal('route-unknown', 'there is no such file');
        reply.headers({ 'Cache-Control': 'no-cache', ETag: file.etag });
        if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
        return reply.type(file.type).send(file.octets);
      },
    });
  }
}

function cameFromElsewhere(url: string): Page {
  const body = html`<p>No page of the console led you here. Looks at content are noted with your name, so nothing has been
      shown yet.</p>
    <p><a href=${url}>Look at it</a></p>`;
  return { title: 'Do you want to look at it?', body, status: 403 };
}

/** A fastify error as one of ours. */
function ours(error: unknown): unknown {
  if (error instanceof SealpostError) return error;
  if (hasCode(error, 'FST_ERR_BAD_URL', 'FST_ERR_CTP_INVALID_MEDIA_TYPE'))
    return refusal('request-invalid', 'the request is malformed');
  return error;
}
