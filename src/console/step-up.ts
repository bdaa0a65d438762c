/**
 * Before a grave act, people have to prove again who they are. The form they sent travels along in hidden fields, and
 * is carried out afterwards: nothing is lost, and no script is needed.
 */
import { csrfField } from './csrf.ts';
import type { Form } from './form.ts';
import { type Html, html } from './html.ts';
import { passkeyFields, proofFields } from './login-pages.ts';

/** The fields of the proof. Those of a page do not begin with an underscore. */
export const proofNames = { password: '_password', code: '_code', passkey: '_passkey' } as const;

export const hasProof = (form: Form): boolean => form.has(proofNames.password);

export const proofOf = (form: Form) => ({
  password: form.get(proofNames.password),
  code: form.get(proofNames.code),
  passkey: form.get(proofNames.passkey),
});

/** A path of the console to go to; '/' for anything else. */
export function safePath(text: string): string {
  const base = 'https://console.invalid';
  if (!/^\/(?![/\\])/.test(text) || !URL.canParse(text, base)) return '/';
  const { origin, pathname, search } = new URL(text, base);
  return origin === base && !pathname.startsWith('//') ? `${pathname}${search}` : '/';
}

export interface StepUpView {
  /** The form's target: the page that asked. */
  action: string;
  /** A form is waiting to be sent there. */
  held: boolean;
  csrf: string;
  /** What was asked for. */
  form: Form;
  wrong: string;
  secondFactor: boolean;
  /** Some people have passkeys. */
  passkeys: boolean;
  /** How the person proves who it is. */
  kind: 'local' | 'oidc';
}

export function stepUpBody({
  action,
  held,
  csrf,
  form,
  wrong,
  secondFactor,
  passkeys,
  kind,
}: StepUpView): Html {
  const hidden = form
    .entries()
    .map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`);
  const proof =
    kind === 'local'
      ? proofFields(secondFactor, proofNames)
      : html`<p>Your organization asks you to log in again, and brings you back here.</p>`;
  return html`
    ${wrong !== '' && html`<p role="alert" class="wrong">${wrong}</p>`}
    <p>This needs to be you. Nothing has been done yet.</p>
    <form method="post" action=${kind === 'local' ? action : '/login/oidc/step-up'}>
      ${csrfField(csrf)} ${hidden} ${proof}
      ${kind === 'oidc' && html`<input type="hidden" name="_action" value=${action} />`}
      ${kind === 'oidc' && held && html`<input type="hidden" name="_post" value="yes" />`}
      <p><button>Confirm</button> <a href="/">Leave it</a></p>
      ${kind === 'local' && passkeys && passkeyFields('Confirm', secondFactor, proofNames.passkey)}
    </form>`;
}
