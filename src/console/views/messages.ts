/** Messages: searched, filtered, page by page. */
import type { z } from 'zod';
import type { messageList } from '../../api/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, empty, field, link, live, size, table, time } from './parts.ts';

export type ListedMessage = z.output<typeof messageList>['messages'][number];

/** The filters. Their names are those of the API and of `sealpost messages list`. */
export const filterNames = [
  'direction',
  'state',
  'reason',
  'mailbox',
  'partner',
  'messageId',
  'address',
  'subject',
  'id',
  'since',
  'until',
] as const;
export type Filter = Partial<Record<(typeof filterNames)[number], string>>;

export interface MessagesView {
  filter: Filter;
  /** The same, as it stands in addresses. */
  address: Readonly<Record<string, string>>;
  csrf: string;
  messages: readonly ListedMessage[];
  cursor: string | null;
  /** The page is not the first one. */
  goesOn: boolean;
  states: readonly string[];
  /** The person may read content. */
  content: boolean;
}

export function messagesBody(view: MessagesView): Html {
  const { filter, messages, goesOn } = view;
  const list = messages.length === 0 ? nothing(view) : [rows(messages), more(view)];
  return [
    html`<section><h2 class="unseen">Search</h2>${form(view)}</section>`,
    html`<section><h2 class="unseen">Messages</h2>${goesOn || Object.keys(filter).length > 6 ? list : live('list', list)}</section>`,
  ];
}

function form({ filter, states, content, csrf }: MessagesView): Html {
  const names = (each: readonly string[]) => each.map((name) => [name, name] as const);
  const rest = [
    filter.mailbox,
    filter.direction,
    filter.messageId,
    filter.address,
    filter.subject,
    filter.since,
    filter.until,
  ];
  // What is looked for in subjects does not belong into an address.
  const [method, action] = content ? ['post', '/messages/search'] : ['get', '/messages'];
  return html`<form class="filter" method=${method} action=${action} role="search">${content && csrfField(csrf)}
    ${field({ name: 'id', label: 'Id', value: filter.id, type: 'search', help: 'Its beginning is enough; without any other filter.', standard: 'any' })}
    ${field({ name: 'partner', label: 'Partner', value: filter.partner, help: 'Name of a partner.', standard: 'all', named: '--partner' })}
    ${field({ name: 'state', label: 'State', value: filter.state, help: 'Where it stands.', standard: 'any', named: '--state', options: [['', 'any'], ...names(states)] })}
    ${field({ name: 'reason', label: 'Reason', value: filter.reason, help: 'Code of a suspended one, such as decrypt-no-key.', standard: 'any', named: '--reason' })}
    <details open=${rest.some(Boolean)}><summary>More to search by</summary><div class="rest">
    ${field({ name: 'mailbox', label: 'Mailbox', value: filter.mailbox, help: 'Name of a mailbox.', standard: 'all', named: '--mailbox' })}
    ${field({ name: 'direction', label: 'Direction', value: filter.direction, help: 'To you, or to partners.', standard: 'both', named: '--direction', options: [['', 'both'], ...names(['inbound', 'outbound'])] })}
    ${field({ name: 'messageId', label: 'Message-ID', value: filter.messageId, help: 'The whole field, with its brackets.', standard: 'any', named: '--message-id' })}
    ${field({ name: 'address', label: 'Address', value: filter.address, help: 'Of the envelope, as a whole.', standard: 'any', named: '--address' })}
    ${content && field({ name: 'subject', label: 'Subject', value: filter.subject, help: 'A part of it, where keepSubjects is set; looked for page by page.', standard: 'any', named: '--subject' })}
    ${field({ name: 'since', label: 'Since', value: filter.since, help: 'UTC, such as 2026-12-01 or 2026-12-01T08:00Z.', standard: 'the oldest', named: '--since' })}
    ${field({ name: 'until', label: 'Until', value: filter.until, help: 'Before that time.', standard: 'the newest', named: '--until' })}
    </div></details>
    <div class="go"><button>Search</button><a href="/messages">All messages</a></div>
  </form>`;
}

export function rows(messages: readonly ListedMessage[]): Html {
  return table(
    'Messages, newest first',
    [
      {
        name: 'Received',
        show: ({ id, receivedAt }) => html`<a href=${`/messages/${id}`}>${time(receivedAt)}</a>`,
      },
      { name: 'Direction', show: ({ direction }) => direction },
      { name: 'State', show: ({ state }) => badge(state) },
      { name: 'Partner', show: ({ partner }) => cell(partner) },
      { name: 'Mailbox', show: ({ mailbox }) => cell(mailbox) },
      {
        name: 'From and to',
        show: ({ envelope: { from, to } }) =>
          html`${cell(from === '' ? '<>' : from, 60)} → ${cell(to.join(', '), 60)}`,
      },
      ...(messages.some(({ subject }) => subject !== null)
        ? [{ name: 'Subject', show: ({ subject }: ListedMessage) => cell(subject, 80) }]
        : []),
      { name: 'Size', number: true, show: ({ octets }) => size(octets) },
      { name: 'Reason', show: ({ reason }) => (reason === null ? '' : html`<code>${reason}</code>`) },
      { name: 'Id', show: ({ id }) => html`<a class="id" href=${`/messages/${id}`}>${id.slice(0, 10)}</a>` },
    ],
    messages,
  );
}

function more({ address, cursor, goesOn }: MessagesView): Html {
  return html`<p class="more">${goesOn && html`<a href=${link('/messages', address)}>The newest</a> `}${
    cursor !== null &&
    html`<a class="button quiet" rel="next" href=${link('/messages', { ...address, cursor })}>Older messages</a>`
  }</p>`;
}

function nothing({ filter, address, cursor }: MessagesView): Html {
  if (cursor !== null)
    return html`<p>None among those that were looked through so far. <a class="button quiet" href=${link('/messages', { ...address, cursor })}>Look further back</a></p>`;
  if (Object.values(filter).some(Boolean))
    return empty(
      'No message is like that.',
      html`Take something out of the search, or see <a href="/messages">all messages</a>.`,
    );
  return empty(
    'There is no message yet.',
    html`Mail to an address of a mailbox appears here as soon as it is stored. <a href="/routes">See how your mailboxes are read.</a>`,
  );
}
