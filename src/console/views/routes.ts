/** Mailboxes and routes: their state, the last failure, and pausing them. */
import type { MailboxInfo, RouteInfo } from '../../api/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html, short } from '../html.ts';
import { badge, cell, count, empty, facts, link, live, moment, notice, reasonField } from './parts.ts';

export interface RoutesView {
  mailboxes: readonly MailboxInfo[];
  routes: readonly RouteInfo[];
  cursor: string | null;
  /** May pause, resume and poll. */
  may: boolean;
  csrf: string;
  now: Date;
  said: string;
}

export function routesBody(view: RoutesView): Html {
  const { mailboxes, routes, cursor, said } = view;
  return [
    notice(said),
    html`<h2>Mailboxes</h2>`,
    mailboxes.length === 0
      ? empty('You have no mailbox.', html`Write one below <code>mailboxes</code> in the configuration.`)
      : mailboxes.map((each) => live(`mailbox-${each.name}`, mailbox(each, view))),
    html`<h2>Ways to partners and destinations</h2>`,
    routes.length === 0
      ? empty(
          'There is no route.',
          html`Write a partner below <code>partners</code>, or a destination into a mailbox.`,
        )
      : routes.map((each) => live(`route-${each.kind}-${each.name}`, route(each, view))),
    cursor !== null &&
      html`<p class="more"><a class="button quiet" href=${link('/routes', { cursor })}>More routes</a></p>`,
  ];
}

function act(path: string, name: string, help: string, { csrf }: RoutesView): Html {
  return html`<form method="post" action="/routes/act">${csrfField(csrf)}<input type="hidden" name="path" value=${path} />
    ${reasonField(path, { help })}<button class="quiet">${name}</button></form>`;
}

function paused({ paused: by }: Pick<RouteInfo, 'paused'>, now: Date): Html {
  return (
    by &&
    html`<p>Paused by ${cell(by.by)} ${moment(by.at, now)}${by.why !== '' && html`: “${cell(by.why, 300)}”`}</p>`
  );
}

function mailbox(each: MailboxInfo, view: RoutesView): Html {
  const { name, addresses, state, imap, destinations } = each;
  const path = `mailboxes/${name}`;
  return html`<section><h3>${cell(name)} ${badge(state === 'smtp' ? 'listening' : state)}</h3>${paused(each, view.now)}
    ${facts([
      ['Addresses', cell(addresses.join(', '), 400)],
      ['Folder', imap && `${imap.user} at ${imap.host}, ${imap.folder}`],
      ['Last poll without an error', imap && moment(imap.lastPoll, view.now)],
      ['Failing since', imap?.failingSince && moment(imap.failingSince, view.now)],
      [
        'Last failure',
        imap?.lastError && html`<code>${imap.lastError.code}</code> ${cell(imap.lastError.message, 400)}`,
      ],
      ['Destinations', cell(destinations.join(', '))],
      ['Messages', html`<a href=${link('/messages', { mailbox: name })}>of this mailbox</a>`],
    ])}${said(imap?.dialogue ?? [])}
    ${
      view.may &&
      html`<details id=${`acts-${path}`}><summary>Pause, resume, poll</summary><div class="acts">${
        state === 'paused'
          ? act(`${path}/resume`, 'Resume', 'It takes mail again.', view)
          : act(
              `${path}/pause`,
              'Pause',
              'Its folder is not read; over SMTP, senders are told to come again later.',
              view,
            )
      }${imap !== null && act(`${path}/poll`, 'Poll now', 'Also if it waits after a failure.', view)}</div></details>`
    }
  </section>`;
}

export function route(each: RouteInfo, view: RoutesView): Html {
  const { kind, name, mailbox: owner, destination, partner, type, target, state, lastFailure, inLine } = each;
  const path = kind === 'partner' ? `partners/${partner}` : `mailboxes/${owner}/destinations/${destination}`;
  return html`<section><h3>${kind === 'partner' ? 'to ' : ''}${cell(name)} ${badge(state)}</h3>${paused(each, view.now)}
    ${facts([
      ['By', `${type}, ${target}`],
      ['In line', inLine === 0 ? null : count(inLine, 'message')],
      ['Last success', moment(each.lastSuccess, view.now)],
      ['Failing since', moment(each.failingSince, view.now)],
    ])}
    ${lastFailure && failure(lastFailure, view.now)}
    ${
      view.may &&
      html`<details id=${`acts-${path}`}><summary>Pause, resume</summary><div class="acts">${
        state === 'paused'
          ? act(`${path}/resume`, 'Resume', 'What waits goes on, in its order.', view)
          : act(`${path}/pause`, 'Pause', 'Messages wait in their order; nothing fails.', view)
      }</div></details>`
    }
  </section>`;
}

/** Facts of a failure in words. What its code, the dialogue and the heading say is left out. */
const factNames: Readonly<Record<string, string>> = {
  host: 'Host',
  reply: 'It said',
  message: 'What happened',
  stage: 'While',
  status: 'Status',
  possibleDuplicate: 'It may have the message already',
  backup: 'By the backup route',
};

function failure(
  { at, code, facts: known, dialogue }: NonNullable<RouteInfo['lastFailure']>,
  now: Date,
): Html {
  const shown = Object.entries(known).filter(
    ([name, value]) => !['code', 'destination'].includes(name) && value !== false && value !== null,
  );
  return html`<p><strong>Last failure</strong> ${moment(at, now)}: <code>${code}</code></p>${facts(
    shown.map(([name, value]) => {
      const text = Array.isArray(value) ? value.join(', ') : String(value);
      return [factNames[name] ?? name, value === true ? 'yes' : cell(text, 400)];
    }),
  )}${said(dialogue)}`;
}

/** The dialogue of a failure. */
function said(lines: readonly string[]): Html {
  return (
    lines.length > 0 &&
    html`<p class="more">What was said at last (<code>></code> is Sealpost):</p><pre tabindex="0">${lines.map((line) => short(line, 250)).join('\n')}</pre>`
  );
}
