/** The frame around each page. */
import type { Person } from '../user/index.ts';
import { csrfField } from './csrf.ts';
import { type Html, html, textOf } from './html.ts';

export interface Frame {
  title: string;
  body: Html;
  /** Path of the page. */
  path: string;
  /** Who is there; undefined before the login. */
  person?: Person | undefined;
  csrf?: string | undefined;
}

/** A whole document. */
export function layout({ title, body, person, csrf }: Frame): string {
  const leave =
    person &&
    html`<form method="post" action="/logout">${csrfField(csrf ?? '')}<button>Log out ${person.name}</button></form>`;
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>${title} - Sealpost</title>
    </head>
    <body><header>${leave}</header><main><h1>${title}</h1>${body}</main></body>
  </html>`;
  return `<!doctype html>${textOf(page)}`;
}
