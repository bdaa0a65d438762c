/**
 * What the pages of people and of programs share: a list with a form that adds one, and what the person cannot change.
 */
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { notice } from './parts.ts';

export interface HoldersView {
  said: string;
  title: string;
  /** The table, or what stands in its place. */
  list: Html;
  /** The form. */
  add: { title: string; action: string; fields: Html; button: string; command: string };
  csrf: string;
}

export function holdersBody({ said, title, list, add, csrf }: HoldersView): Html {
  return [
    notice(said),
    html`<section><h2 class="unseen">${title}</h2>${list}</section>`,
    html`<section><h2>${add.title}</h2><form class="act" method="post" action=${add.action}>${csrfField(csrf)}
      ${add.fields}<div class="field"><button>${add.button}</button></div></form>
      <p><small>You can give what you may do yourself, and no more. On the machine: <code>${add.command}</code>.</small></p></section>`,
  ];
}

/** In place of the forms that change somebody. */
export const notYours = (why: string): Html => html`<section><p>${why}</p></section>`;
