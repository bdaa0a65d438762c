/** Suspended: by reason, partner and day, with acts on many and a preview of each. */

import type { z } from 'zod';
import type { BulkAct, preview, suspendedList, Verb } from '../../api/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { cell, count, empty, hidden, link, live, moment, notice, reasonField, table, time } from './parts.ts';

export type Group = z.output<typeof suspendedList>['groups'][number];

export interface SuspendedView {
  groups: readonly Group[];
  more: boolean;
  /** Only that reason, if there is one. */
  reason: string | undefined;
  /** Cause and remedy by code. */
  explain: (code: string) => { why: string; next: string } | undefined;
  may: (verb: Verb) => boolean;
  now: Date;
  said: string;
}

export const actNames: Readonly<Record<BulkAct | 'replay', string>> = {
  resume: 'Resume',
  retry: 'Retry',
  terminate: 'Terminate',
  'decode-again': 'Decode again',
  replay: 'Replay',
};

export function suspendedBody(view: SuspendedView): Html {
  const { groups, more, said } = view;
  const top = notice(said);
  if (groups.length === 0)
    return [
      top,
      live(
        'groups',
        empty(
          'Nothing is suspended.',
          html`A message that cannot go on waits here for you, with what to do about it.
        <a href="/messages">See all messages.</a>`,
        ),
      ),
    ];
  const reasons = [...new Set(groups.map(({ reason }) => reason))];
  return [
    top,
    more && html`<p class="wrong">Only the newest 20,000 suspended messages are counted.</p>`,
    live(
      'groups',
      reasons.map((reason) => section(reason, view)),
    ),
  ];
}

function section(reason: string, { groups, explain, may, now }: SuspendedView): Html {
  const own = groups.filter((group) => group.reason === reason);
  const total = own.reduce((sum, { messages }) => sum + messages, 0);
  const known = explain(reason);
  const acts = (['resume', 'decode-again', 'terminate'] as const).filter((act) => may(act));
  const to = (group: Group, act: BulkAct) =>
    link('/suspended/preview', {
      act,
      reason,
      direction: group.direction,
      mailbox: group.mailbox ?? undefined,
      partner: group.partner ?? undefined,
      since: `${group.day}T00:00:00Z`,
      until: dayAfter(group.day),
    });
  return html`<section>
    <h2>${count(total, 'message')}: <code>${reason}</code></h2>
    ${known && html`<p><strong>Why:</strong> ${known.why}.<br /><strong>What next:</strong> ${known.next}</p>`}
    ${table(
      `Suspended for ${reason}, by day`,
      [
        { name: 'Day', show: ({ day }) => day },
        { name: 'Direction', show: ({ direction }) => direction },
        { name: 'Partner', show: ({ partner }) => cell(partner) },
        { name: 'Mailbox', show: ({ mailbox }) => cell(mailbox) },
        {
          name: 'Messages',
          number: true,
          show: (group) =>
            html`<a href=${link('/messages', { state: 'suspended', reason, direction: group.direction, mailbox: group.mailbox ?? undefined, partner: group.partner ?? undefined })}>${group.messages.toLocaleString('en')}</a>`,
        },
        { name: 'Oldest', show: ({ oldest }) => moment(oldest, now) },
        {
          name: 'Do',
          show: (group) =>
            acts
              .filter((act) => act !== 'decode-again' || group.direction === 'inbound')
              .map((act, at) => [at > 0 && ' · ', html`<a href=${to(group, act)}>${actNames[act]}…</a>`]),
        },
      ],
      own,
    )}
    ${
      acts.length > 0 &&
      html`<p class="more">All of them: ${acts.map((act, at) => [at > 0 && ' · ', html`<a href=${link('/suspended/preview', { act, reason })}>${actNames[act]}…</a>`])}${
        may('replay') &&
        html` · <a href=${link('/replay', { reason })}>Replay what waits for certificates or keys…</a>`
      }</p>`
    }
  </section>`;
}

const dayAfter = (day: string) => new Date(Date.parse(day) + 86_400_000).toISOString();

export interface PreviewView {
  act: BulkAct;
  filter: Readonly<Record<string, string | undefined>>;
  found: z.output<typeof preview>;
  csrf: string;
  now: Date;
}

/** What an act would do, before it is done. */
export function previewBody({ act, filter, found, csrf, now }: PreviewView): Html {
  const back = html`<p><a href="/suspended">Back, and do nothing</a></p>`;
  const further =
    found.cursor !== null &&
    html`<p class="more"><a class="button quiet" href=${link('/suspended/preview', { ...filter, act, cursor: found.cursor })}>Look further back</a></p>`;
  if (found.messages === 0 && found.cursor !== null)
    return [html`<p>None among those that were looked through so far.</p>`, further, back];
  if (found.messages === 0)
    return [html`<p>There is nothing left to do: no such message is suspended now.</p>`, back];
  return [
    html`<section class="why"><p><strong>${count(found.messages, 'message')}${found.more ? ' (and more, for another time)' : ''}</strong>
      would be acted on${found.oldest !== null && html`, the oldest received ${moment(found.oldest, now)}`}. Messages that came after ${time(found.until)} are left alone.</p>
      ${act === 'terminate' && html`<p>What is terminated is not delivered any more, and its octets are removed. There is no way back.</p>`}
      ${act !== 'terminate' && html`<p>What cannot go on is suspended again, with the reason of then.</p>`}</section>`,
    html`<section><h2>Which</h2><p>${Object.entries(filter)
      .filter(([name, value]) => value && name !== 'cursor')
      .map(([name, value], at) => [
        at > 0 && ', ',
        html`${name} <strong>${cell(value ?? null)}</strong>`,
      ])}</p>
      <ul>${found.ids.map((id) => html`<li><a class="id" href=${`/messages/${id}`}>${id}</a></li>`)}</ul>
      ${found.messages > found.ids.length && html`<p>and ${count(found.messages - found.ids.length, 'more', 'more')}</p>`}</section>`,
    html`<section><h2>${actNames[act]}</h2><form class="act" method="post" action="/suspended/act">
      ${csrfField(csrf)}${hidden({ ...filter, act, until: found.until })}
      ${reasonField(act, { required: act === 'terminate' })}
      <div class="field"><button class=${act === 'terminate' ? 'grave' : undefined}>${actNames[act]} ${count(found.messages, 'message')}</button></div>
    </form></section>`,
    further,
    back,
  ];
}
