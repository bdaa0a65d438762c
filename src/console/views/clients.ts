/** Clients (programs) and their tokens, for administrators. */
import type { ClientInfo, TokenInfo } from '../../api/index.ts';
import { limitTexts, noLimits, type Verb, verbs } from '../../client/index.ts';
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
  size,
  table,
} from './parts.ts';

const about: Readonly<Record<Verb, string>> = {
  send: 'submit messages',
  read: 'see messages',
  content: 'read what is written in messages',
  resume: 'resume suspended messages',
  retry: 'try again now',
  'decode-again': 'decode again',
  replay: 'replay what waited',
  terminate: 'end messages for good',
  certificates: 'see certificates',
  approve: 'decide about certificates',
  alerts: 'see alerts',
  silence: 'silence alerts',
  routes: 'pause and resume mailboxes and routes',
  users: 'people of the console',
  clients: 'clients and tokens',
  check: 'have configuration and keys checked',
};

type Grants = ClientInfo['grants'];
const listed = 'Names with commas, or * for all.';

/** Fields for grants, with their help: of a client, or what narrows them for a token. */
function grantFields(
  grants: Pick<Grants, 'verbs' | 'partners' | 'mailboxes' | 'senders' | 'identities'>,
  own: readonly Verb[],
): Html {
  return html`${boxes(
    'verbs',
    'What it may do',
    verbs
      .filter((verb) => own.includes(verb) || grants.verbs.includes(verb))
      .map((verb) => [verb, verb, about[verb]] as const),
    grants.verbs,
    { help: 'One verb for each kind of act.', standard: 'send, read', named: '--scope' },
  )}
    ${field({ name: 'partners', label: 'Partners', value: namesText(grants.partners), help: `That it may send to and see mail for. ${listed}`, standard: 'none', named: '--partner' })}
    ${field({ name: 'mailboxes', label: 'Mailboxes', value: namesText(grants.mailboxes), help: `Whose mail it may see. ${listed}`, standard: 'none', named: '--mailbox' })}
    ${field({ name: 'senders', label: 'Senders', value: namesText(grants.senders), help: 'Addresses that its mail may come from, also @domain, or * for any.', standard: 'none', named: '--sender' })}
    ${field({ name: 'identities', label: 'Identities', value: namesText(grants.identities), help: `That may sign its mail. ${listed}`, standard: '*', named: '--identity' })}`;
}

function limitFields({ messages, octets, size: largest }: Grants['limits'], prefix = ''): Html {
  return html`${field({ name: `${prefix}messages`, label: 'Messages a minute', value: String(messages), help: 'At most.', standard: '0, no limit', named: '--messages-per-minute' })}
    ${field({ name: `${prefix}octets`, label: 'Octets a minute', value: String(octets), help: 'At most.', standard: '0, no limit', named: '--octets-per-minute' })}
    ${field({ name: `${prefix}size`, label: 'Octets of a message', value: String(largest), help: 'At most.', standard: '0, the limit of the door', named: '--max-size' })}`;
}

export interface ClientsView {
  clients: readonly ClientInfo[];
  /** Verbs of the person. */
  own: readonly Verb[];
  csrf: string;
  now: Date;
  said: string;
}

export function clientsBody({ clients, own, csrf, now, said }: ClientsView): Html {
  const none = {
    verbs: ['send', 'read'] as Verb[],
    partners: [],
    mailboxes: [],
    senders: [],
    identities: '*',
  } as const;
  const list =
    clients.length === 0
      ? empty(
          'There is no client.',
          html`A client is a program that sends messages or reads them. Add one below, and make a token for it.`,
        )
      : table(
          'Clients',
          [
            { name: 'Name', show: ({ name }) => html`<a href=${pathTo('clients', name)}>${cell(name)}</a>` },
            { name: 'May', show: ({ grants }) => cell(grants.verbs.join(', ') || 'nothing', 120) },
            { name: 'Partners', show: ({ grants }) => namesCell(grants.partners) },
            { name: 'Mailboxes', show: ({ grants }) => namesCell(grants.mailboxes) },
            { name: 'Since', show: ({ createdAt }) => moment(createdAt, now) },
          ],
          clients,
        );
  const fields = [
    field({
      ...{ name: 'name', label: 'Name', required: true },
      help: 'Letters, digits, dot, underscore and hyphen.',
    }),
    grantFields({ ...none, partners: [], mailboxes: [], senders: [] }, own),
  ];
  const add = {
    ...{ title: 'Add a client', action: '/clients/add', fields },
    ...{ button: 'Add the client', command: 'sealpost clients add' },
  };
  return holdersBody({ said, title: 'Clients', list, add, csrf });
}

export interface ClientView {
  client: ClientInfo;
  tokens: readonly TokenInfo[];
  own: readonly Verb[];
  csrf: string;
  now: Date;
  said: string;
}

const expiries = [
  ['30d', '30 days'],
  ['90d', '90 days'],
  ['365d', '1 year'],
  ['never', 'until it is revoked'],
] as const;

export function clientBody({ client, tokens, own, csrf, now, said }: ClientView): Html {
  const { name, grants, pins, queue, may } = client;
  const { limits } = grants;
  return [
    notice(said),
    html`<section><h2>What it may do</h2>${facts([
      ['May', cell(grants.verbs.join(', ') || 'nothing', 400)],
      ['Partners', namesCell(grants.partners)],
      ['Mailboxes', namesCell(grants.mailboxes)],
      ['Senders', namesCell(grants.senders)],
      ['Identities', namesCell(grants.identities)],
      ['Messages a minute', limits.messages === 0 ? 'no limit' : limits.messages],
      ['Octets a minute', limits.octets === 0 ? 'no limit' : size(limits.octets)],
      ['Octets of a message', limits.size === 0 ? 'the limit of the door' : size(limits.size)],
      [
        'Certificates that log in',
        pins.length === 0 ? null : html`<span class="id">${pins.join(', ')}</span>`,
      ],
      ['Queue in Redis', queue ? 'yes' : null],
      ['Added', moment(client.createdAt, now)],
    ])}</section>`,
    html`<section><h2>Tokens</h2>${
      tokens.length === 0
        ? empty(
            'It has no token.',
            may ? html`Make one below.` : html`Somebody who may do all that it may can make one.`,
          )
        : table(
            'Tokens',
            [
              { name: 'Id', show: ({ id }) => html`<span class="id">${id}</span>` },
              { name: 'What for', show: ({ note }) => cell(note, 120) },
              { name: 'Limits', show: (token) => cell(limitTexts(token.limits).join(', '), 120) },
              { name: 'State', show: ({ state }) => badge(state) },
              {
                name: 'Until',
                show: ({ expiresAt }) => (expiresAt === null ? 'revoked' : moment(expiresAt, now)),
              },
              {
                name: 'Last used',
                show: ({ lastUsedAt }) => (lastUsedAt === null ? 'never' : moment(lastUsedAt, now)),
              },
              { name: 'Do', show: ({ id, state }) => may && tokenActs(id, state, csrf) },
            ],
            tokens,
          )
    }</section>`,
    may
      ? [
          html`<section><h2>Make a token</h2><form class="act" method="post" action=${pathTo('clients', name, 'tokens')}>${csrfField(csrf)}
            ${field({ name: 'note', label: 'What for', help: 'In your words, for the list.', standard: 'nothing', named: '--note' })}
            ${field({ name: 'expires', label: 'Valid for', help: 'Its end; rotate it before.', standard: '1 year', named: '--expires', value: '365d', options: expiries })}
            ${limitFields(noLimits, 'token-')}
            <p class="note"><small>These limits hold beside those of the client, which are for all its tokens together.</small></p>
            <div class="field"><button>Make it, and show it</button></div></form></section>`,
          html`<section><h2>Grants</h2><form class="act" method="post" action=${pathTo('clients', name, 'grant')}>${csrfField(csrf)}
            ${grantFields(grants, own)} ${limitFields(limits)}<div class="field"><button>Change the grants</button></div></form></section>`,
          html`<section><h2>Remove</h2><form class="act" method="post" action=${pathTo('clients', name, 'remove')}>${csrfField(csrf)}
            <p>Its tokens are refused within a second. What it has sent goes on.</p><button class="grave">Remove the client</button></form></section>`,
        ]
      : notYours(
          'You cannot change this client: it may do more than you. sealpost clients on the machine can.',
        ),
  ];
}

const overlap = {
  ...{ name: 'overlap', label: 'Overlap', help: 'How long the old one stays valid.' },
  ...{ standard: '1 day', named: '--overlap' },
  options: [
    ['1d', '1 day'],
    ['7d', '7 days'],
    ['1h', '1 hour'],
    ['0s', 'no time'],
  ],
} as const;

function tokenActs(id: string, state: string, csrf: string): Html {
  const hidden = [csrfField(csrf), html`<input type="hidden" name="id" value=${id} />`];
  return html`<details id=${`acts-${id}`}><summary>Rotate, revoke</summary>
    ${
      state === 'valid' &&
      html`<form method="post" action="/tokens/rotate">${hidden}
      ${field({ ...overlap, of: id })}
      <button class="quiet">Rotate</button></form>`
    }
    <form method="post" action="/tokens/revoke">${hidden}<button class="quiet grave">Revoke</button></form></details>`;
}
