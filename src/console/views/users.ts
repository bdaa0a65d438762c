/** People of the console, for administrators. */
import type { UserInfo } from '../../api/index.ts';
import { roles } from '../../user/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { holdersBody, notYours } from './holders.ts';
import {
  badge,
  boxes,
  cell,
  empty,
  facts,
  field,
  moment,
  namesCell,
  namesText,
  notice,
  pathTo,
  table,
  time,
} from './parts.ts';

function state({ disabled, invited, login }: UserInfo): string {
  if (disabled) return 'disabled';
  if (invited) return 'invited';
  return login === 'none' ? 'not invited' : 'active';
}

function how({ login, totp, passkeys }: UserInfo): string {
  if (login === 'oidc') return 'provider';
  if (login === 'none') return 'not yet';
  const more = [totp && 'app', passkeys > 0 && (passkeys === 1 ? '1 passkey' : `${passkeys} passkeys`)];
  return ['password', ...more.filter(Boolean)].join(', ');
}

/** Fields for rights, with their help. */
function rightsFields({
  role,
  mailboxes,
  partners,
  content,
}: Pick<UserInfo, 'role' | 'mailboxes' | 'partners' | 'content'>): Html {
  return html`${field({ name: 'role', label: 'Role', help: 'Viewers see; operators also act on messages and decide about certificates; administrators also manage people and clients.', standard: 'viewer', named: '--role', value: role, options: roles.map((each) => [each, each] as const) })}
    ${field({ name: 'mailboxes', label: 'Mailboxes', value: namesText(mailboxes), help: 'Whose mail it sees: names with commas, or * for all.', standard: '*', named: '--mailbox' })}
    ${field({ name: 'partners', label: 'Partners', value: namesText(partners), help: 'Whose mail it sees: names with commas, or * for all.', standard: '*', named: '--partner' })}
    ${boxes('content', 'Content', [['yes', 'may read what is written in messages', '']], content ? ['yes'] : [], { help: 'Each look is in the audit trail.', standard: 'no', named: '--content' })}`;
}

export interface UsersView {
  users: readonly UserInfo[];
  /** The person sees all mailboxes and partners. */
  all: boolean;
  csrf: string;
  now: Date;
  said: string;
}

export function usersBody({ users, all, csrf, now, said }: UsersView): Html {
  const list =
    users.length === 0
      ? empty('There is nobody whom you may see.', html`Add a person below.`)
      : table(
          'People of the console',
          [
            { name: 'Name', show: ({ name }) => html`<a href=${pathTo('users', name)}>${cell(name)}</a>` },
            { name: 'Role', show: ({ role, groups }) => (groups === null ? role : 'as its groups') },
            { name: 'State', show: (user) => badge(state(user)) },
            { name: 'Logs in with', show: how },
            { name: 'Mailboxes', show: ({ mailboxes }) => namesCell(mailboxes) },
            { name: 'Partners', show: ({ partners }) => namesCell(partners) },
            { name: 'Content', show: ({ content }) => (content ? 'may read' : 'no') },
            { name: 'Since', show: ({ createdAt }) => moment(createdAt, now) },
          ],
          users,
        );
  const subject = {
    ...{
      name: 'subject',
      label: 'Subject at the provider',
      help: 'It logs in there instead of with a password.',
    },
    ...{ standard: 'none, it gets an invitation', named: 'console.oidc, --subject' },
  };
  const fields = [
    field({
      ...{ name: 'name', label: 'Name', required: true },
      help: 'For logins: letters, digits, dot, underscore, hyphen and @.',
    }),
    rightsFields({ role: 'viewer', mailboxes: '*', partners: '*', content: false }),
    all && field(subject),
  ];
  const add = {
    ...{ title: 'Add a person', action: '/users/add', fields },
    ...{ button: 'Add, and show the invitation', command: 'sealpost users add' },
  };
  return holdersBody({ said, title: 'People', list, add, csrf });
}

export interface UserView {
  user: UserInfo;
  failed: readonly { at: string; address: string }[];
  csrf: string;
  now: Date;
  said: string;
}

export function userBody({ user, failed, csrf, now, said }: UserView): Html {
  const { name, groups, subject, disabled } = user;
  const act = (what: string, title: string, help: string, kind?: string) =>
    html`<form method="post" action=${pathTo('users', name, 'act')}><h3>${title}</h3><small>${help}</small>${csrfField(csrf)}
      <input type="hidden" name="act" value=${what} /><div class="field"><button class=${kind}>${title}</button></div></form>`;
  return [
    notice(said),
    html`<section><h2>Who it is</h2>${facts([
      ['State', badge(state(user))],
      ['Role', groups === null ? user.role : 'as its groups'],
      ['Mailboxes', namesCell(user.mailboxes)],
      ['Partners', namesCell(user.partners)],
      ['Content', user.content ? 'may read it' : 'may not read it'],
      ['Logs in with', how(user)],
      ['Subject', subject && cell(`${subject.subject} of ${subject.issuer}`, 300)],
      ['Groups', groups && cell(groups.join(', '), 400)],
      ['Added', moment(user.createdAt, now)],
    ])}</section>`,
    user.may
      ? [
          groups === null &&
            html`<section><h2>Rights</h2><form class="act" method="post" action=${pathTo('users', name, 'change')}>${csrfField(csrf)}
            ${rightsFields(user)}<div class="field"><button>Change the rights</button></div></form></section>`,
          html`<section><h2>What you can do</h2><div class="acts">
            ${act('end-sessions', 'End all logins', 'Within a second, in all browsers. It may log in again.', 'quiet')}
            ${subject === null && act('reset', 'Reset', 'For a lost password, phone or passkey: all of them are taken away, and you get a new invitation.', 'grave')}
            ${
              disabled
                ? act('enable', 'Enable', 'It may log in again.')
                : act('disable', 'Disable', 'All logins end, and new ones are refused.', 'grave')
            }
            ${act('remove', 'Remove', 'For good. The audit trail keeps the name.', 'grave')}
          </div></section>`,
        ]
      : notYours(
          'You cannot change this person: it is yourself, or it may do more than you. Another administrator can, and sealpost users on the machine.',
        ),
    html`<section><h2>Failed logins</h2>${
      failed.length === 0
        ? html`<p>None.</p>`
        : table(
            'Failed logins',
            [
              { name: 'When', show: ({ at }) => time(at) },
              { name: 'From', show: ({ address }) => cell(address) },
            ],
            failed.slice(0, 50),
          )
    }</section>`,
  ];
}
