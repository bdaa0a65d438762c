/** The frame around each page: the menu, who is logged in, and how to log out. */
import type { Person } from '../user/index.ts';
import { csrfField } from './csrf.ts';
import { type Html, html, textOf } from './html.ts';

export interface Frame {
  title: string;
  body: Html;
  /** Path of the page. */
  path: string;
  /** Who is logged in; undefined before the login. */
  person?: Person | undefined;
  csrf?: string | undefined;
  /** Grave acts need a second person (`console.fourEyes`). */
  fourEyes?: boolean;
}

const places: readonly (readonly [path: string, name: string])[] = [
  ['/', 'Now'],
  ['/messages', 'Messages'],
  ['/suspended', 'Suspended'],
  ['/partners', 'Partners'],
  ['/routes', 'Mailboxes and routes'],
  ['/alerts', 'Alerts'],
  ['/setup', 'Setup'],
];
/** For administrators. */
const rights = [
  ['/users', 'Users'],
  ['/clients', 'Clients'],
] as const;
const second = ['/second', 'Second person'] as const;

/** A whole document. */
export function layout({ title, body, path, person, csrf, fourEyes = false }: Frame): string {
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <title>${title} - Sealpost</title>
      <link rel="icon" href="/static/icon.svg" type="image/svg+xml" />
      <link rel="stylesheet" href="/static/uPlot.min.css" />
      <link rel="stylesheet" href="/static/console.css" />
      <script src="/static/passkey.js" defer></script>
      ${person && html`<script src="/static/uPlot.iife.min.js" defer></script>`}
      ${person && html`<script src="/static/chart.js" defer></script>`}
      ${person && html`<script src="/static/live.js" defer></script>`}
    </head>
    <body>
      <a class="skip" href="#main">Skip to the content</a>
      <header class="top">
        <a class="brand" href="/">Sealpost</a>
        ${person && navigation(path, person, fourEyes)}
        ${person && leave(person, csrf ?? '')}
      </header>
      <main id="main" tabindex="-1"><h1>${title}</h1>${body}</main>
      <footer>Times are UTC.</footer>
    </body>
  </html>`;
  return `<!doctype html>${textOf(page)}`;
}

function navigation(path: string, { role }: Person, fourEyes: boolean): Html {
  const shown = [...places, ...(role === 'administrator' ? rights : []), ...(fourEyes ? [second] : [])];
  const isHere = (place: string) =>
    place === '/' ? path === '/' : path === place || path.startsWith(`${place}/`);
  return html`<nav aria-label="Pages"><ul>
    ${shown.map(
      ([place, name]) =>
        html`<li><a href=${place} aria-current=${isHere(place) ? 'page' : undefined}>${name}</a></li>`,
    )}
  </ul></nav>`;
}

function leave({ name, role }: Person, csrf: string): Html {
  return html`<form class="who" method="post" action="/logout">
    ${csrfField(csrf)}<a href="/account">${name}, ${role}</a><button class="quiet">Log out</button>
  </form>`;
}
