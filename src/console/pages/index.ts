/** All pages of the console. */
import { html } from '../html.ts';
import { type PageRoute, page } from '../page.ts';

const start = page({
  method: 'GET',
  url: '/',
  needs: 'viewer',
  handle: async ({ person }) => ({
    title: 'Now',
    body: html`<p>You are ${person.name}, ${person.role}.</p>`,
  }),
});

export const pages: readonly PageRoute[] = [start];
