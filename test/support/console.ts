/** The console with people of every kind, and browsers that keep cookies as real ones do. */
import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { createConsole } from '../../src/console/index.ts';
import type { PageRoute } from '../../src/console/page.ts';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { addPerson, invite, type Rights, totpAt, UserRegistry } from '../../src/user/index.ts';
import { type DaemonOptions, startDaemon, type TestDaemon } from './daemon.ts';
import { openTestQueue, testConfig } from './queue.ts';
import { startTestRedis, type TestRedis } from './redis.ts';
import type { World } from './world.ts';

export interface Answered {
  status: number;
  headers: IncomingMessage['headers'];
  text: string;
  /** Where it leads; '' if it does not. */
  to: string;
}

export interface Login {
  name: string;
  password: string;
  /** Secret of the authenticator app. */
  secret: string;
}

export type Fields = Record<string, string> | [string, string][];

/** Cookies by name, and requests with them. */
export interface Browser {
  cookies: Map<string, string>;
  get(path: string, headers?: Record<string, string>): Promise<Answered>;
  /** A form of the console: with Origin, and with the token of the last page unless the form has one. */
  post(path: string, form: Fields, headers?: Record<string, string>): Promise<Answered>;
  /** The `_csrf` of the last page. */
  csrf: string;
  /** Any request, with the cookies. */
  ask(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Answered>;
}

export type Somebody = Login & { browser: Browser };

export interface People {
  url: string;
  port: number;
  /** @param from another address of loopback */
  browser(from?: string): Browser;
  /** Adds a person, who takes the invitation and logs in with a browser of its own. */
  person(name: string, role: string, ...options: string[]): Promise<Somebody>;
  /** The form of a login, with a code that was not used yet. */
  proof(login: Login): Promise<{ name: string; password: string; code: string }>;
}

export const password = 'correct horse battery';

export const browserSession = '__Host-sealpost';
export const browserMark = '__Host-sealpost-browser';

export function peopleOf(
  port: number,
  invitationOf: (name: string, role: string, options: string[]) => Promise<string>,
  now = Date.now,
): People {
  const url = `http://127.0.0.1:${port}`;
  const stepNow = () => Math.floor(now() / 30_000);
  /** Steps of codes that were used, by secret: each counts once. */
  const used = new Map<string, number>();
  const people: People = {
    url,
    port,
    browser: (from) => browserOf(url, from),
    async proof({ name, password: known, secret }) {
      // The step before this one may be over when it arrives; the next one is valid already.
      const step = Math.max(stepNow(), (used.get(secret) ?? 0) + 1);
      while (step > stepNow() + 1) await new Promise((resolve) => setTimeout(resolve, 200));
      used.set(secret, step);
      return { name, password: known, code: totpAt(secret, step * 30_000) };
    },
    async person(name, role, ...options) {
      const invitation = await invitationOf(name, role, options);
      const browser = people.browser();
      const page = await browser.get('/welcome');
      const secret = /<code>([A-Z2-7]+)<\/code>/.exec(page.text)?.[1] ?? '';
      const sealed = /name="sealed" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
      const step = stepNow();
      used.set(secret, step);
      const code = secret === '' ? '' : totpAt(secret, step * 30_000);
      const form = { name, invitation, password, again: password, sealed, code };
      const came = await browser.post('/welcome', form);
      assert.equal(came.status, 303, came.text);
      return { name, password, secret, browser };
    },
  };
  return people;
}

export interface TestConsole extends People {
  daemon: TestDaemon;
}

/** A daemon with the role `console` alone, unless `args` say otherwise; partners acme and other. */
export async function startConsole(
  world: World,
  {
    console: settings = {},
    config = {},
    ...options
  }: DaemonOptions & { console?: Record<string, unknown> } = {},
): Promise<TestConsole> {
  const partner = (name: string) => ({
    ...{ name, addresses: [`edi@${name}.example`, `@${name}.example`], encrypt: false, sign: 'none' },
    ...{ from: 'orders@own.example', route: { host: '127.0.0.1', port: 9, tls: 'none' } },
  });
  const daemon = await startDaemon(world, {
    args: ['--only', 'console'],
    ...options,
    config: { partners: [partner('acme'), partner('other')], ...config, console: { port: 0, ...settings } },
  });
  const port = Number(/"console":"[^"]*:(\d+)"/.exec(daemon.log())?.[1]);
  const people = peopleOf(port, async (name, role, more) => {
    const ran = await daemon.command(['users', 'add', name, '--role', role, ...more, '--json']);
    assert.equal(ran.code, 0, ran.stderr);
    return JSON.parse(ran.stdout.toString()).invitation;
  });
  return { daemon, ...people };
}

export interface ConsoleRoom extends People {
  queue: QueueRoom;
  server: TestRedis;
  registry: UserRegistry;
  /** Rights that differ from those of the role alone, for the next person. */
  rights: Partial<Rights>;
  /** Milliseconds by which its clock is ahead. */
  ahead: number;
  stop(): Promise<void>;
}

/** The console in this process, with pages and a clock of the test. */
export async function startConsoleRoom(
  settings: Record<string, unknown> = {},
  pages?: readonly PageRoute[],
  others: Record<string, unknown> = {},
): Promise<ConsoleRoom> {
  const whole = { mailboxes: [], ...others, console: { port: 0, ...settings } };
  // What is wrong with the settings shows before anything runs.
  testConfig({ url: 'redis://127.0.0.1:1', dataDir: '/nowhere' }, whole);
  const server = await startTestRedis();
  const config = testConfig(server, whole);
  const queue = await openTestQueue(server, whole);
  const log = createLog('silent', 'test');
  const now = () => Date.now() + room.ahead;
  const registry = await UserRegistry.open({
    ...{ ...queue, folder: config.dataDir, log, now },
    oidc: config.console.oidc,
  });
  const console = await createConsole({ config, log, queue, now, ...(pages && { pages }) });
  const bound = await console.listen(false);
  const invitationOf = async (name: string, role: string) => {
    const rights = { mailboxes: '*', partners: '*', content: false, ...room.rights } as const;
    let code = '';
    await registry.change((document) => {
      const known = role === 'operator' || role === 'administrator' ? role : 'viewer';
      code = invite(addPerson(document, name, { ...rights, role: known }, { now: now() }), now());
    });
    return code;
  };
  const people = peopleOf(Number(bound.split(':').at(-1)), invitationOf, () => now());
  const room: ConsoleRoom = {
    ...people,
    ...{ queue, server, registry, rights: {}, ahead: 0 },
    async stop() {
      await console.close(1000);
      await queue.close();
      await server.stop();
    },
  };
  return room;
}

export function browserOf(url: string, from?: string): Browser {
  const cookies = new Map<string, string>();
  const browser: Browser = {
    cookies,
    csrf: '',
    async ask(method, path, given, body) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const headers = { ...(cookie !== '' && { cookie }), ...given };
      const answer = await exchange(`${url}${path}`, { method, headers, from, body });
      for (const line of answer.headers['set-cookie'] ?? []) {
        const [pair = '', ...facts] = line.split('; ');
        const at = pair.indexOf('=');
        if (facts.includes('Max-Age=0')) cookies.delete(pair.slice(0, at));
        else cookies.set(pair.slice(0, at), pair.slice(at + 1));
      }
      const csrf = /name="_csrf" value="([^"]+)"/.exec(answer.text)?.[1];
      if (csrf !== undefined) browser.csrf = csrf;
      return answer;
    },
    // As if a page of the console had led there.
    get: (path, headers = {}) => browser.ask('GET', path, { 'sec-fetch-site': 'same-origin', ...headers }),
    post(path, form, headers = {}) {
      const fields = new URLSearchParams(Array.isArray(form) ? form : Object.entries(form));
      if (!fields.has('_csrf') && browser.csrf !== '') fields.set('_csrf', browser.csrf);
      const more = { 'content-type': 'application/x-www-form-urlencoded', origin: url, ...headers };
      return browser.ask('POST', path, more, fields.toString());
    },
  };
  return browser;
}

interface Exchange {
  method: string;
  headers: Record<string, string>;
  from: string | undefined;
  body: string | undefined;
}

/** One request on a connection of its own. */
function exchange(url: string, { method, headers, from, body }: Exchange): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const local = from === undefined ? {} : { localAddress: from };
    const request = httpRequest(url, { method, headers, agent: false, ...local }, async (response) => {
      const chunks = await Array.fromAsync(response);
      const text = Buffer.concat(chunks).toString();
      const { statusCode = 0, headers: answered } = response;
      resolve({ status: statusCode, headers: answered, text, to: answered.location ?? '' });
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Fields of the first form of a page that leads to `action`. */
export function formOf(text: string, action: string): [string, string][] {
  const forms = [...text.matchAll(/<form [^>]*action="([^"]*)"[^>]*>(.*?)<\/form>/gs)];
  const form = forms.find((each) => each[1]?.replaceAll('&amp;', '&') === action)?.[2] ?? '';
  return [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map((each) => [
    each[1] ?? '',
    each[2] ?? '',
  ]);
}
