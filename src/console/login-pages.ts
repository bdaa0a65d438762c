/** The pages for people who are not logged in: the login, and the first login by invitation. */
import { type Html, html } from './html.ts';

export interface LoginView {
  /** Where to go afterwards. */
  to: string;
  /** What was wrong the last time; '' for nothing. */
  wrong: string;
  secondFactor: boolean;
  /** Some people have passkeys. */
  passkeys: boolean;
  /** A provider is configured. */
  oidc: boolean;
}

const warning = (text: string): Html => text !== '' && html`<p role="alert" class="wrong">${text}</p>`;

interface FieldFacts {
  type?: string;
  value?: string;
  autocomplete: string;
  minlength?: string;
  inputmode?: string;
}

const field = (name: string, label: string, facts: FieldFacts): Html => html`<p>
  <label for=${name}>${label}</label>
  <input
    id=${name}
    name=${name}
    type=${facts.type ?? 'text'}
    value=${facts.value}
    autocomplete=${facts.autocomplete}
    autocapitalize="none"
    spellcheck="false"
    minlength=${facts.minlength}
    inputmode=${facts.inputmode}
    required
  />
</p>`;

const codeField = (label: string): Html =>
  field('code', label, { inputmode: 'numeric', autocomplete: 'one-time-code' });

/** The fields that prove who somebody is. */
export function proofFields(secondFactor: boolean, names: { password: string; code: string }): Html {
  return html`
    <p>
      <label for="password">Password</label>
      <input id="password" name=${names.password} type="password" required autocomplete="current-password" />
    </p>
    ${
      secondFactor &&
      html`<p>
        <label for="code">Code of your authenticator app</label>
        <input id="code" name=${names.code} required inputmode="numeric" autocomplete="one-time-code" />
      </p>`
    }`;
}

/** Buttons for passkeys. A script shows them if the browser supports passkeys. */
export function passkeyFields(what: string, secondFactor: boolean, name: string): Html {
  return html`<input type="hidden" name=${name} value="" data-passkey-field />
    <p data-passkey-part="able" hidden>
      <button type="button" class="quiet" data-passkey="get" data-verify="required">${what} with a passkey</button>
      ${
        secondFactor &&
        html` <button type="button" class="quiet" data-passkey="get" data-verify="discouraged">
          ${what} with password and passkey
        </button>`
      }
    </p>
    <p role="status" data-passkey-said></p>`;
}

export function loginBody({ to, wrong, secondFactor, passkeys, oidc }: LoginView): Html {
  return html`
    ${warning(wrong)}
    ${
      oidc &&
      html`<p><a href=${`/login/oidc?to=${encodeURIComponent(to)}`}>Log in with your organization</a></p>`
    }
    <form method="post" action="/login">
      <input type="hidden" name="to" value=${to} />
      ${field('name', 'Name', { autocomplete: 'username' })}
      ${proofFields(secondFactor, { password: 'password', code: 'code' })}
      <p><button>Log in</button></p>
      ${passkeys && passkeyFields('Log in', secondFactor, 'passkey')}
    </form>
    <p>The first time? <a href="/welcome">Take your invitation</a>.</p>`;
}

export interface WelcomeView {
  name: string;
  wrong: string;
  /** For the authenticator app, in base32; undefined if none is needed. */
  secret: string | undefined;
  uri: string;
  /** The same, sealed. */
  sealed: string;
  leastLength: number;
}

export function welcomeBody(view: WelcomeView): Html {
  const { name, wrong, secret, uri, sealed, leastLength } = view;
  return html`
    ${warning(wrong)}
    <p>You have a name and a code from who runs Sealpost here (sealpost users add).</p>
    <form method="post" action="/welcome">
      ${field('name', 'Name', { value: name, autocomplete: 'username' })}
      ${field('invitation', 'Code of the invitation', { autocomplete: 'off' })}
      ${field('password', `New password, at least ${leastLength} characters`, {
        type: 'password',
        autocomplete: 'new-password',
        minlength: String(leastLength),
      })}
      ${field('again', 'The same password again', { type: 'password', autocomplete: 'new-password' })}
      ${
        secret !== undefined &&
        html`<p>
            Add this secret to an authenticator app: <code>${secret}</code>, or open
            ${' '}<a href=${uri}>this link</a> on the phone.
          </p>
          <input type="hidden" name="sealed" value=${sealed} />
          ${codeField('Code that the app shows now')}`
      }
      <p><button>Set the password</button></p>
    </form>`;
}
