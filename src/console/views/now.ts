/** Now: first what needs a person, then what flows, what waits, and the state of mailboxes and routes. */
import type { z } from 'zod';
import type {
  alertList,
  certificateList,
  mailboxList,
  overview,
  routeList,
  suspendedList,
} from '../../api/index.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, count, empty, link, live, moment, span, table, time } from './parts.ts';

export interface NowView {
  overview: z.output<typeof overview>;
  suspended: z.output<typeof suspendedList>;
  mailboxes: z.output<typeof mailboxList>['mailboxes'];
  routes: z.output<typeof routeList>['routes'];
  /** Those that wait come first, then those that end soonest. */
  certificates: z.output<typeof certificateList>['certificates'];
  moreCertificates: boolean;
  /** Undefined where the person may not see them. */
  alerts: z.output<typeof alertList>['alerts'] | undefined;
  now: Date;
}

export function nowBody(view: NowView): Html {
  return [
    live('needs', needs(view)),
    live('tiles', tiles(view)),
    live('flow', flow(view)),
    html`<div class="columns">${live('ways', ways(view))}${live('ends', ends(view))}</div>`,
  ];
}

function needs(view: NowView): Html {
  const { suspended, alerts = [], routes, mailboxes, certificates, moreCertificates, now } = view;
  const firing = alerts.filter(({ state, silencedBy }) => state === 'firing' && silencedBy === null);
  const broken = [
    ...mailboxes.filter(({ state }) => state === 'failing' || state === 'paused'),
    ...routes.filter(({ state }) => state === 'failing' || state === 'paused'),
  ];
  const waiting = certificates.filter(({ state }) => state === 'waiting');
  const atLeast = moreCertificates && waiting.length === certificates.length ? 'more than ' : '';
  const reasons = byReason(suspended.groups);
  if (firing.length + broken.length + waiting.length + reasons.length === 0)
    return html`<section class="why calm"><h2>Nothing needs you</h2>
      <p>No message is suspended, every route works, and no certificate waits for approval.</p></section>`;
  return html`<section class="why"><h2>What needs you</h2><ul class="needs">
    ${firing.map(
      ({ text, hint, severity }) =>
        html`<li>${badge(severity)} ${cell(text, 300)}${hint !== null && html` <small>${cell(hint, 300)}</small>`}</li>`,
    )}
    ${reasons.map(
      ({ reason, messages, oldest }) =>
        html`<li>${badge('suspended')} <a href=${link('/suspended', { reason })}>${count(messages, 'message')}</a> for${' '}<code>${reason}</code>, the oldest ${moment(oldest, now)}</li>`,
    )}
    ${
      waiting.length > 0 &&
      html`<li>${badge('waiting')} <a href="/partners">${atLeast}${count(waiting.length, 'certificate')}</a> to approve or reject</li>`
    }
    ${broken.map(({ name, state }) => html`<li>${badge(state)} <a href="/routes">${cell(name)}</a></li>`)}
  </ul></section>`;
}

function byReason(
  groups: NowView['suspended']['groups'],
): { reason: string; messages: number; oldest: string }[] {
  const found = new Map<string, { reason: string; messages: number; oldest: string }>();
  for (const { reason, messages, oldest } of groups) {
    const known = found.get(reason);
    if (known === undefined) found.set(reason, { reason, messages, oldest });
    else {
      known.messages += messages;
      if (oldest < known.oldest) known.oldest = oldest;
    }
  }
  return [...found.values()].sort((a, b) => b.messages - a.messages);
}

function tiles({ overview: { waiting, latency }, now }: NowView): Html {
  if (waiting === null)
    return html`<p>You see some mailboxes and partners. Counts of the whole installation are for those who see all of it.</p>`;
  const tile = (name: string, state: keyof typeof waiting, bad = false) => {
    const { messages, oldest } = waiting[state];
    const tone = messages === 0 ? '' : bad ? ' bad' : '';
    return html`<div class=${`tile${tone}`}><b><a href=${link('/messages', { state })}>${messages.toLocaleString('en')}</a></b>
      ${name}<br /><small>${oldest === null ? 'none waits' : html`oldest ${span(now.getTime() - Date.parse(oldest))}`}</small></div>`;
  };
  const took = (name: string, each: NonNullable<NowView['overview']['latency']>['inbound']) =>
    html`<div class="tile"><b>${each === null ? '-' : span(each.p50)}</b>${name}<br />
      <small>${each === null ? 'no message in a day' : `half; 90 of 100 in ${span(each.p90)}, 99 in ${span(each.p99)}`}</small></div>`;
  return html`<div class="tiles">
    ${tile('suspended', 'suspended', true)}${tile('to decode', 'received')}${tile('to hand off', 'decoded')}
    ${tile('to send', 'queued')}${latency && took('until handed off', latency.inbound)}
    ${latency && took('until sent', latency.outbound)}
  </div>`;
}

interface Hour {
  from: string;
  received: number;
  delivered: number;
  suspendedInbound: number;
  queued: number;
  sent: number;
  suspendedOutbound: number;
}

const none: Hour = {
  ...{ from: '', received: 0, delivered: 0, suspendedInbound: 0 },
  ...{ queued: 0, sent: 0, suspendedOutbound: 0 },
};

/** Steps of ten minutes summed up to half hours: fewer points, and a table that is short enough to read. */
function steps(flow: NonNullable<NowView['overview']['flow']>): Hour[] {
  const found = new Map<string, Hour>();
  for (const each of flow) {
    const from = `${each.from.slice(0, 14)}${each.from.slice(14, 16) < '30' ? '00' : '30'}:00.000Z`;
    const step = found.get(from) ?? { ...none, from };
    found.set(from, step);
    step.received += each.received;
    step.delivered += each.delivered;
    step.suspendedInbound += each.suspendedInbound;
    step.queued += each.queued;
    step.sent += each.sent;
    step.suspendedOutbound += each.suspendedOutbound;
  }
  return [...found.values()];
}

function flow({ overview }: NowView): Html {
  if (overview.flow === null) return null;
  const rows = steps(overview.flow);
  const moved = rows.some(
    ({ received, queued, delivered, sent }) => received + queued + delivered + sent > 0,
  );
  if (!moved)
    return html`<section><h2>Flow of the last day</h2>${empty(
      'No message came or went in a day.',
      html`Mail arrives at the addresses of your mailboxes; send one with <code>sealpost send --to PARTNER FILE</code>, or
        try a partner on <a href="/partners">Partners</a>.`,
    )}</section>`;
  return html`<section><h2>Flow of the last day</h2>${table(
    'Messages in each half hour',
    [
      { name: 'Time', show: ({ from }: Hour) => time(from) },
      { name: 'Received', number: true, show: ({ received }) => received },
      { name: 'Handed off', number: true, show: ({ delivered }) => delivered },
      { name: 'Suspended, inbound', number: true, show: ({ suspendedInbound }) => suspendedInbound },
      { name: 'Submitted', number: true, show: ({ queued }) => queued },
      { name: 'Sent', number: true, show: ({ sent }) => sent },
      { name: 'Suspended, outbound', number: true, show: ({ suspendedOutbound }) => suspendedOutbound },
    ],
    rows,
    { chart: 'flow' },
  )}</section>`;
}

function ways({ mailboxes, routes, now }: NowView): Html {
  const rows = [
    ...mailboxes.map(({ name, state, imap }) => ({
      name,
      state,
      what: imap ? 'mailbox, IMAP' : 'mailbox, SMTP',
      last: imap?.lastPoll ?? null,
    })),
    ...routes.map(({ name, state, kind, lastSuccess }) => ({ name, state, what: kind, last: lastSuccess })),
  ];
  if (rows.length === 0)
    return html`<section><h2>Mailboxes and routes</h2>${empty(
      'Nothing is configured yet.',
      'Write a mailbox and a partner into the configuration; Setup shows what is there.',
    )}</section>`;
  return html`<section><h2>Mailboxes and routes</h2>${table(
    'Mailboxes and routes with their state',
    [
      { name: 'Name', show: ({ name }) => cell(name) },
      { name: 'What', show: ({ what }) => what },
      { name: 'State', show: ({ state }) => badge(state === 'smtp' ? 'listening' : state) },
      { name: 'Last success', show: ({ last }) => moment(last, now) },
    ],
    rows,
  )}<p class="more"><a href="/routes">All mailboxes and routes</a></p></section>`;
}

function ends({ certificates, now }: NowView): Html {
  const soon = certificates.filter(({ state }) => state !== 'waiting');
  if (soon.length === 0)
    return html`<section><h2>What ends next</h2><p>No certificate ends within 60 days.</p></section>`;
  const rows = soon.toSorted((a, b) => (a.notAfter < b.notAfter ? -1 : 1)).slice(0, 10);
  return html`<section><h2>What ends next</h2>${table(
    'Certificates that end within 60 days',
    [
      { name: 'Whose', show: ({ partner, identity }) => cell(partner ?? identity) },
      { name: 'Subject', show: ({ subject }) => cell(subject, 60) },
      { name: 'Ends', show: ({ notAfter }) => moment(notAfter, now) },
    ],
    rows,
  )}</section>`;
}
