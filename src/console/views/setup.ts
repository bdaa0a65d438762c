/** Setup: what is configured, with its origin and default, and what was found of the surroundings. */
import type { z } from 'zod';
import type { setupReport } from '../../api/index.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, empty, field, table } from './parts.ts';

export interface SetupView {
  report: z.output<typeof setupReport>;
  /** Only settings with that in their name. */
  name: string;
  now: Date;
}

export function setupBody({ report, name }: SetupView): Html {
  const { settings, redis, dns, processes, file } = report;
  const shown = settings.filter(({ path }) => path.toLowerCase().includes(name.toLowerCase()));
  return [
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
    html`<section><h2>Settings</h2>
      <p>Read from <code>${file}</code>. To see all problems of the configuration and its keys, run <code>sealpost check</code>; to apply a change, <code>sealpost reload</code>.</p>
      <form class="filter" method="get" action="/setup" role="search">${field({ name: 'name', label: 'Setting', value: name, type: 'search', help: 'A part of its name.' })}<div class="go"><button>Search</button></div></form>
      ${
        shown.length === 0
          ? empty('No setting is called so.', html`docs/settings.md lists all of them.`)
          : settingsTable('Settings with origin, default and meaning', shown)
      }</section>`,
  ];
}

/** Settings with where they stand and what they are. */
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
