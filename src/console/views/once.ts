/** What is shown once and not kept in a readable form: codes of invitations, and tokens. */
import { type Html, html } from '../html.ts';

const of = (json: unknown, name: string): string | undefined => {
  const value = typeof json === 'object' && json !== null ? Reflect.get(json, name) : undefined;
  return typeof value === 'string' ? value : undefined;
};

/** @param json the answer of an operation; undefined if it contains nothing of the kind */
export function onceBody(json: unknown): Html {
  const [invitation, token] = [of(json, 'invitation'), of(json, 'token')];
  if (invitation !== undefined)
    return html`<section class="why calm"><h2>The code of the invitation</h2>
      <p>Give it to the person on a way that nobody else reads. It is shown this once, and is valid for a day.</p>
      <p><code class="once">${invitation}</code></p>
      <p>The person opens <code>/welcome</code> in this console, and sets a password there.</p></section>`;
  if (token !== undefined)
    return html`<section class="why calm"><h2>The token</h2>
      <p>Put it where the program reads it. It is shown this once, and cannot be shown again.</p>
      <p><code class="once">${token}</code></p>
      <p>The program sends it with each request: <code>Authorization: Bearer TOKEN</code>.</p></section>`;
  return undefined;
}
