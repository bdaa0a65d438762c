/** Alerts in force, silences, and the channels. */
import type { z } from 'zod';
import type { alertList } from '../../api/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, empty, field, live, moment, notice, reasonField, table } from './parts.ts';

export interface AlertsView {
  list: z.output<typeof alertList>;
  may: boolean;
  csrf: string;
  now: Date;
  said: string;
}

export function alertsBody(view: AlertsView): Html {
  const { list, may, csrf, now, said } = view;
  const { alerts, silences, channels, lookedAt } = list;
  return [
    notice(said),
    live(
      'alerts',
      html`<section><h2>What holds now</h2>${
        alerts.length === 0
          ? empty(
              'There is no alert.',
              html`Rules look at queues, routes, certificates and Redis all the time; docs/alerts.md says which, and how you are told.`,
            )
          : table(
              'Alerts',
              [
                { name: 'How grave', show: ({ severity }) => badge(severity) },
                {
                  name: 'State',
                  show: ({ state, silencedBy }) => (silencedBy === null ? state : `${state}, silenced`),
                },
                {
                  name: 'What',
                  show: ({ text, hint }) =>
                    html`${cell(text, 400)}${hint !== null && html`<br /><small>${cell(hint, 400)}</small>`}`,
                },
                { name: 'Since', show: ({ since }) => moment(since, now) },
                { name: 'Rule', show: ({ rule }) => html`<code>${rule}</code>` },
              ],
              alerts,
            )
      }<p><small>Looked at ${lookedAt === null ? 'never' : moment(lookedAt, now)}.</small></p></section>`,
    ),
    may &&
      alerts.length > 0 &&
      html`<section><h2>Silence</h2><form class="act" method="post" action="/alerts/silence">${csrfField(csrf)}
      ${field({ name: 'alert', label: 'Alert', help: 'It goes on being looked at, and nobody is told.', standard: 'the first', options: alerts.map(({ id, text }) => [id, text.slice(0, 80)] as const) })}
      ${field({
        ...{ name: 'for', label: 'For', help: 'How long.', standard: '4 hours', named: '--for' },
        value: '4h',
        options: [
          ['1h', '1 hour'],
          ['4h', '4 hours'],
          ['1d', '1 day'],
          ['7d', '7 days'],
        ],
      })}
      ${reasonField('silence', { required: true, help: 'For the audit trail.' })}
      <div class="field"><button>Silence</button></div></form></section>`,
    silences.length > 0 &&
      html`<section><h2>Silences</h2>${table(
        'Silences',
        [
          {
            name: 'What',
            show: ({ match }) =>
              cell(
                Object.entries(match)
                  .map(([name, value]) => `${name} ${value}`)
                  .join(', '),
                200,
              ),
          },
          { name: 'Until', show: ({ until }) => moment(until, now) },
          { name: 'By', show: ({ by }) => cell(by) },
          { name: 'Why', show: ({ why }) => cell(why, 300) },
          {
            name: 'Do',
            show: ({ id }) =>
              may &&
              html`<form method="post" action="/alerts/unsilence">${csrfField(csrf)}<input type="hidden" name="id" value=${id} /><button class="quiet">End it</button></form>`,
          },
        ],
        silences,
      )}</section>`,
    html`<section><h2>How you are told</h2>${
      channels.length === 0
        ? empty(
            'Nobody was told anything yet.',
            html`Write a mail address or a webhook below <code>alerts</code> in the configuration, and try it with a test.`,
          )
        : table(
            'Channels',
            [
              { name: 'Channel', show: ({ name }) => name },
              { name: 'Last used', show: ({ at }) => moment(at, now) },
              {
                name: 'Outcome',
                show: ({ outcome, trouble }) =>
                  html`${cell(outcome, 200)}${trouble && html` ${badge('failing')} ${cell(trouble.why, 300)}`}`,
              },
            ],
            channels,
          )
    }${may && html`<form method="post" action="/alerts/test">${csrfField(csrf)}<button class="quiet">Send a test</button></form>`}</section>`,
  ];
}
