/** The console of a running daemon, with people of every kind, and browsers that keep cookies as real ones do. */
import assert from 'node:assert/strict';
import { totpAt } from '../../src/user/index.ts';
import { type DaemonOptions, startDaemon, type TestDaemon } from './daemon.ts';
import type { World } from './world.ts';

export interface Answered {
  status: number;
  headers: Headers;
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

/** Cookies by name, and requests with them. */
export interface Browser {
  cookies: Map<string, string>;
  get(path: string, headers?: Record<string, string>): Promise<Answered>;
  /** A form of the console: with Origin, and the token of the last page unless the form has one. */
  post(
    path: string,
    form: Record<string, string> | [string, string][],
    headers?: Record<string, string>,
  ): Promise<Answered>;
  /** The `_csrf` of the last page. */
  csrf: string;
}

export interface TestConsole {
  daemon: TestDaemon;
  port: number;
  url: string;
  browser(): Browser;
  /** Adds a person, who takes the invitation and logs in with a browser of its own. */
  person(name: string, role: string, ...options: string[]): Promise<Login & { browser: Browser }>;
  /** The form of a login, with a code that was not used yet. */
  proof(login: Login): Promise<{ name: string; password: string; code: string }>;
}

export const password = 'correct horse battery';

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
  const url = `http://127.0.0.1:${port}`;
  /** Steps of codes that were used, by secret: each counts once. */
  const used = new Map<string, number>();
  const room: TestConsole = {
    daemon,
    port,
    url,
    browser: () => browserOf(url),
    async proof({ name, password, secret }) {
      // One step before and after now is valid, so three codes in a row are there at once.
      const now = Math.floor(Date.now() / 30_000);
      const step = Math.max(now - 1, (used.get(secret) ?? 0) + 1);
      if (step > now + 1) {
        await daemon.waitFor('the next code', () => Math.floor(Date.now() / 30_000) >= step - 1);
      }
      used.set(secret, step);
      return { name, password, code: totpAt(secret, step * 30_000) };
    },
    async person(name, role, ...more) {
      const ran = await daemon.command(['users', 'add', name, '--role', role, ...more, '--json']);
      assert.equal(ran.code, 0, ran.stderr);
      const { invitation } = JSON.parse(ran.stdout.toString());
      const browser = room.browser();
      const page = await browser.get('/welcome');
      const secret = /<code>([A-Z2-7]+)<\/code>/.exec(page.text)?.[1] ?? '';
      const sealed = /name="sealed" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
      const step = Math.floor(Date.now() / 30_000);
      used.set(secret, step);
      const code = totpAt(secret, step * 30_000);
      const form = { name, invitation, password, again: password, sealed, code };
      const came = await browser.post('/welcome', form);
      assert.equal(came.status, 303, came.text);
      return { name, password, secret, browser };
    },
  };
  return room;
}

export function browserOf(url: string): Browser {
  const cookies = new Map<string, string>();
  const ask = async (path: string, options: RequestInit & { headers: Record<string, string> }) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie !== '' && { cookie }), ...options.headers };
    const answer = await fetch(`${url}${path}`, { ...options, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [pair = '', ...facts] = line.split('; ');
      const [name = '', value = ''] = pair.split('=');
      if (facts.includes('Max-Age=0')) cookies.delete(name);
      else cookies.set(name, value);
    }
    const text = await answer.text();
    const csrf = /name="_csrf" value="([^"]+)"/.exec(text)?.[1];
    if (csrf !== undefined) browser.csrf = csrf;
    return { status: answer.status, headers: answer.headers, text, to: answer.headers.get('location') ?? '' };
  };
  const browser: Browser = {
    cookies,
    csrf: '',
    get: (path, headers = {}) => ask(path, { headers }),
    post(path, form, headers = {}) {
      const fields = new URLSearchParams(Array.isArray(form) ? form : Object.entries(form));
      if (!fields.has('_csrf') && browser.csrf !== '') fields.set('_csrf', browser.csrf);
      const type = { 'content-type': 'application/x-www-form-urlencoded', origin: url };
      return ask(path, { method: 'POST', body: fields.toString(), headers: { ...type, ...headers } });
    },
  };
  return browser;
}
