/** The page of a person about itself. */
import type { Person, StoredPasskey } from '../../user/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { cell, empty, facts, field, moment, namesCell, notice, table } from './parts.ts';

export interface AccountView {
  person: Person;
  passkeys: readonly StoredPasskey[];
  /** The console knows its address (`console.publicUrl`). */
  able: boolean;
  csrf: string;
  now: Date;
  said: string;
}

const iso = (at: number) => new Date(at).toISOString();

export function accountBody({ person, passkeys, able, csrf, now, said }: AccountView): Html {
  const { name, role, kind, rights } = person;
  return [
    notice(said),
    html`<section><h2>What you may do</h2>${facts([
      ['Name', cell(name)],
      ['Role', role],
      ['Mailboxes', namesCell(rights.mailboxes)],
      ['Partners', namesCell(rights.partners)],
      ['Content', rights.content ? 'you may read it' : 'you may not read it'],
    ])}</section>`,
    kind === 'oidc'
      ? html`<section><h2>Passkeys</h2><p>You log in at your organization, which has passkeys of its own.</p></section>`
      : html`<section><h2>Passkeys</h2>
          <p>A passkey logs you in with the finger, face or PIN of your device, without password and code. It works for this console alone, so no other page gets it out of you.</p>
          ${list(passkeys, csrf, now)}
          ${able ? maker(csrf) : html`<p><strong>There are none yet:</strong> whoever runs Sealpost has to write the address of this console as <code>console.publicUrl</code>, with a name and not an IP address.</p>`}
        </section>`,
  ];
}

function list(passkeys: readonly StoredPasskey[], csrf: string, now: Date): Html {
  if (passkeys.length === 0)
    return empty('You have no passkey.', html`Make one on each device that you use.`);
  return table(
    'Your passkeys',
    [
      { name: 'Name', show: ({ name }) => cell(name) },
      { name: 'Made', show: ({ createdAt }) => moment(iso(createdAt), now) },
      { name: 'Last used', show: ({ usedAt }) => (usedAt === null ? 'never' : moment(iso(usedAt), now)) },
      {
        name: 'Where it is',
        show: ({ mayBeCopied, isCopied }) =>
          mayBeCopied ? (isCopied ? 'on several devices' : 'on one device, may be copied') : 'on one device',
      },
      {
        name: 'Do',
        show: ({ id, name }) =>
          html`<form method="post" action="/account/passkeys/remove">${csrfField(csrf)}<input type="hidden" name="id" value=${id} /><button class="quiet grave">Remove<span class="unseen"> ${name}</span></button></form>`,
      },
    ],
    passkeys,
  );
}

function maker(csrf: string): Html {
  return html`<form class="act" method="post" action="/account/passkeys/new">${csrfField(csrf)}
    ${field({ name: 'name', label: 'Name of a new one', required: true, help: 'How you know it again: work laptop, blue stick.' })}
    <div class="field"><button>Make a passkey</button></div></form>`;
}

export interface NewPasskeyView {
  name: string;
  /** For the browser. */
  options: object;
  csrf: string;
}

export function newPasskeyBody({ name, options, csrf }: NewPasskeyView): Html {
  return html`<section><p data-passkey-part="unable">This needs a browser that knows passkeys, with scripts.</p>
    <form method="post" action="/account/passkeys">${csrfField(csrf)}
      <input type="hidden" name="name" value=${name} /><input type="hidden" name="credential" value="" data-passkey-field />
      <p>Your browser asks you where to keep the passkey <strong>${name}</strong>. It has five minutes.</p>
      <p data-passkey-part="able" hidden><button type="button" data-passkey="create" data-options=${JSON.stringify(options)}>Go on</button>
      <a href="/account">Leave it</a></p><p role="status" data-passkey-said></p></form></section>`;
}
