/** Setup: the configuration, with origin and default, and what was found on the machines and in DNS. */
import type { z } from 'zod';
import type { CheckReport, setupReport } from '../../api/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, count, empty, field, live, moment, notice, table, time } from './parts.ts';

export interface SetupView {
  report: z.output<typeof setupReport>;
  /** Only settings whose names contain it. */
  name: string;
  /** Undefined for people who may not check. */
  check: CheckReport | undefined;
  csrf: string;
  now: Date;
  said: string;
}

export function setupBody({ report, check, name, csrf, now, said }: SetupView): Html {
  const { settings, redis, dns, processes, file } = report;
  const shown = settings.filter(({ path }) => path.toLowerCase().includes(name.toLowerCase()));
  return [
    notice(said),
    html`<section><h2>Processes</h2>${
      processes.length === 0
        ? html`<p>No process is alive.</p>`
        : table(
            'Processes that are alive',
            [
              { name: 'Role', show: ({ role }) => role },
              { name: 'Host', show: ({ host }) => cell(host) },
              { name: 'Process', number: true, show: ({ pid }) => pid },
              {
                name: 'What fails',
                show: ({ troubles, refusing }) =>
                  cell([refusing ?? '', ...troubles].filter(Boolean).join('; ') || 'nothing', 400),
              },
            ],
            processes,
          )
    }</section>`,
    html`<section><h2>Redis, as found</h2>${table(
      'Durability of Redis',
      [
        { name: 'Setting', show: ({ name: each }) => html`<code>${each}</code>` },
        { name: 'Found', show: ({ value }) => cell(value) },
        {
          name: 'What it means',
          show: ({ problem }) =>
            problem === null ? badge('good') : html`${badge('warning')} ${cell(problem, 300)}`,
        },
      ],
      redis,
    )}</section>`,
    html`<section id="dns"><h2>DNS records that your mailboxes need</h2>${
      dns === null
        ? html`<p><a class="button quiet" href="/setup?dns=yes#dns">Look them up now</a></p>`
        : dns.length === 0
          ? html`<p>No mailbox takes mail over SMTP, and no partner has a sender.</p>`
          : table(
              'DNS records',
              [
                { name: 'Domain', show: ({ domain }) => cell(domain) },
                { name: 'Record', show: ({ type }) => type },
                {
                  name: 'What is there',
                  show: ({ found, error }) =>
                    error !== null
                      ? html`${badge('failed')} ${cell(error)}`
                      : found.length === 0
                        ? badge('warning')
                        : cell(found.join('; '), 400),
                },
                { name: 'What for', show: ({ need }) => cell(need, 400) },
              ],
              dns,
            )
    }</section>`,
    check && checks(check, csrf, now),
    html`<section><h2>Settings</h2>
      <p>Read from <code>${file}</code>. To apply a change, <code>sealpost reload</code>.</p>
      <form class="filter" method="get" action="/setup" role="search">${field({ name: 'name', label: 'Setting', value: name, type: 'search', help: 'A part of its name.', standard: 'all' })}<div class="go"><button>Search</button></div></form>
      ${
        shown.length === 0
          ? empty('No setting is called so.', html`docs/settings.md lists all of them.`)
          : settingsTable('Settings with origin, default and meaning', shown)
      }</section>`,
  ];
}

/** What `sealpost check` finds on each machine. */
function checks({ check }: CheckReport, csrf: string, now: Date): Html {
  const found =
    check === null
      ? html`<p>Nobody has asked for a check within the last hour.</p>`
      : [
          html`<p>Asked for ${moment(check.at, now)} by ${cell(check.by)}.${
            check.waiting.length > 0 && html` No answer yet about ${cell(check.waiting.join(', '), 400)}.`
          }</p>`,
          check.answers.map(answer),
        ];
  return html`<section id="check"><h2>Check</h2>${live('check-answers', found)}
    <form class="act" method="post" action="/setup/check">${csrfField(csrf)}
    <p>Each machine checks the configuration file, the keys and what else its roles read, as <code>sealpost check</code> does. Nothing is sent.</p>
    <button class="quiet">Check now</button></form></section>`;
}

function answer({
  host,
  roles,
  at,
  problems,
  more,
  error,
}: NonNullable<CheckReport['check']>['answers'][number]): Html {
  return [
    html`<h3>${cell(host)}: ${roles.join(', ')}</h3><p>${
      error !== null
        ? html`${badge('failed')} ${cell(error, 1000)}`
        : problems.length === 0
          ? html`${badge('good')} No problems`
          : count(problems.length + more, 'problem')
    } at ${time(at)}.${more > 0 && html` <code>sealpost check</code> prints all of them there.`}</p>`,
    problems.length > 0 &&
      table(
        `Problems on ${host}`,
        [
          {
            name: 'How grave',
            show: ({ severity }) => badge(severity === 'error' ? 'failed' : 'warning'),
          },
          { name: 'Where', show: ({ file, line }) => cell(`${file}:${line}`, 200) },
          { name: 'Setting', show: ({ setting }) => html`<code>${setting}</code>` },
          {
            name: 'What',
            show: ({ message, hint }) =>
              html`${cell(message, 600)}${hint !== null && html`<br /><small>${cell(hint, 400)}</small>`}`,
          },
        ],
        problems,
      ),
  ];
}

/** Settings with their place in the file and their meaning. */
export function settingsTable(caption: string, settings: SetupView['report']['settings']): Html {
  return table(
    caption,
    [
      { name: 'Setting', show: ({ path }) => html`<code>${path}</code>` },
      { name: 'Value', show: ({ value }) => cell(value, 200) },
      { name: 'Origin', show: ({ origin }) => (origin === null ? 'default' : cell(origin)) },
      { name: 'Default', show: ({ default: each }) => cell(each) },
      { name: 'What it is', show: ({ description }) => cell(description, 400) },
    ],
    settings,
  );
}
