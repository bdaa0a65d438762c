/** Partners: who they are, their certificates in time, what waits for approval, and which profiles they meet. */
import type { z } from 'zod';
import type {
  certificateDetail,
  certificateList,
  MatrixList,
  PartnerDetail,
  partnerList,
  RouteInfo,
  Verb,
} from '../../api/index.ts';
import { comparable } from '../../printable.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { type ListedMessage, rows } from './messages.ts';
import {
  badge,
  cell,
  compared,
  empty,
  facts,
  field,
  link,
  live,
  moment,
  notice,
  pathTo,
  reasonField,
  table,
  time,
} from './parts.ts';
import { route } from './routes.ts';
import { settingsTable } from './setup.ts';

export type Certificate = z.output<typeof certificateList>['certificates'][number];
type Row = z.output<typeof partnerList>['partners'][number];

export interface PartnersView {
  partners: readonly Row[];
  /** Only names that contain it. */
  name: string;
  /** The position in the list, and whether there are more. */
  from: number;
  more: boolean;
  waiting: readonly Certificate[];
  ending: readonly Certificate[];
  now: Date;
}

export const partnersPage = 100;

export function partnersBody({ partners, name, from, more, waiting, ending, now }: PartnersView): Html {
  return [
    waiting.length > 0 &&
      html`<section class="why"><h2>Certificates that wait for you</h2>${certificates(waiting, now)}</section>`,
    html`<section><form class="filter" method="get" action="/partners" role="search">
      ${field({ name: 'name', label: 'Name', value: name, type: 'search', help: 'A part of the name or of an address.', standard: 'all' })}
      <div class="go"><button>Search</button></div></form></section>`,
    partners.length === 0
      ? empty(
          name === '' ? 'You have no partner.' : 'No partner is called so.',
          html`Add one with <code>sealpost partners add</code>, or from a signed mail with <code>sealpost partners from-mail</code>.`,
        )
      : html`<section><h2 class="unseen">Partners</h2>${table(
          'Partners',
          [
            {
              name: 'Name',
              show: (each) => html`<a href=${pathTo('partners', each.name)}>${cell(each.name)}</a>`,
            },
            { name: 'Addresses', show: ({ addresses }) => cell(addresses.join(', '), 200) },
            {
              name: 'Messages',
              show: (each) => html`<a href=${link('/messages', { partner: each.name })}>Messages</a>`,
            },
          ],
          partners,
        )}<p class="more">${from > 0 && html`<a href=${link('/partners', { name })}>First page</a> `}${
          more &&
          html`<a class="button quiet" href=${link('/partners', { name, from: String(from + partnersPage) })}>More partners</a>`
        }</p></section>`,
    ending.length > 0 &&
      html`<section><h2>Certificates that end within 60 days</h2>${certificates(ending, now)}</section>`,
  ];
}

export function certificates(list: readonly Certificate[], now: Date): Html {
  return table(
    'Certificates',
    [
      {
        name: 'Subject',
        show: ({ id, subject }) => html`<a href=${`/certificates/${id}`}>${compared(subject ?? id, 100)}</a>`,
      },
      { name: 'Whose', show: ({ partner, identity }) => cell(partner ?? identity) },
      { name: 'State', show: ({ state }) => badge(state) },
      { name: 'Uses', show: ({ uses }) => uses.join(', ') },
      { name: 'From', show: ({ notBefore }) => time(notBefore) },
      { name: 'Until', show: ({ notAfter }) => moment(notAfter, now) },
      { name: 'Source', show: ({ source }) => source },
    ],
    list,
  );
}

export interface PartnerView {
  partner: PartnerDetail;
  certificates: readonly Certificate[];
  routes: readonly RouteInfo[];
  /** Undefined where the person may not see it. */
  readiness: MatrixList['partners'][number] | undefined;
  suspended: readonly ListedMessage[];
  unsent: readonly ListedMessage[];
  may: (verb: Verb) => boolean;
  csrf: string;
  now: Date;
  said: string;
}

export function partnerBody(view: PartnerView): Html {
  const { partner, certificates: list, routes, readiness, suspended, unsent, may, csrf, now, said } = view;
  const { name } = partner;
  return [
    notice(said),
    html`<section><h2>What it is</h2>${facts([
      ['Addresses', cell(partner.addresses.join(', '), 1000)],
      ['Former names', cell(partner.formerNames.join(', '), 300)],
      ['Messages', html`<a href=${link('/messages', { partner: name })}>with this partner</a>`],
    ])}</section>`,
    errors(partner, now),
    html`<section><h2>Certificates in time</h2>${
      list.length === 0
        ? empty(
            'It has no certificate.',
            html`Nothing can be encrypted for it, and its signatures prove nothing. Add one with
            <code>sealpost certs pin</code>, or have it send a signed mail.`,
          )
        : [timeLine(list, now), certificates(list, now)]
    }</section>`,
    routes.map((each) =>
      live(
        `route-${each.name}`,
        route(each, { mailboxes: [], routes: [], cursor: null, may: may('routes'), csrf, now, said: '' }),
      ),
    ),
    readiness && profiles(readiness),
    demands(partner),
    suspended.length > 0 && html`<section><h2>Suspended</h2>${rows(suspended)}</section>`,
    unsent.length > 0 && html`<section><h2>To be sent</h2>${rows(unsent)}</section>`,
    may('send') &&
      html`<section><h2>Test mail</h2><form class="act" method="post" action=${pathTo('partners', name, 'test')}>
      ${csrfField(csrf)}<p>A short mail, protected as any other, to the first address of the partner.</p><button class="quiet">Send a test mail</button></form></section>`,
  ];
}

/** The last failures of messages that wait. */
function errors({ errors: list }: PartnerDetail, now: Date): Html {
  if (list.length === 0) return null;
  return html`<section><h2>Last errors</h2>${table(
    'What failed last in messages that are suspended or wait to be sent',
    [
      {
        name: 'When',
        show: ({ id, at }) => html`<a href=${`/messages/${id}`}>${moment(at, now)}</a>`,
      },
      { name: 'Direction', show: ({ direction }) => direction },
      { name: 'State', show: ({ state }) => badge(state) },
      { name: 'Code', show: ({ code }) => html`<code>${code}</code>` },
      { name: 'What was said', show: ({ said }) => cell(said, 300) },
    ],
    list,
  )}</section>`;
}

/** How its mail is protected and what it has to meet: the rules of its profiles, and its settings. */
function demands({ profiles: list, settings }: PartnerDetail): Html {
  const uses = { outbound: 'for mail to it', minimum: 'mail from it must meet it' };
  return [
    list.map(
      ({ name, title, version, use, rules }) =>
        html`<section><h2>Profile ${name}</h2><p>${title}, ${version}: ${use.map((each) => uses[each]).join('; ')}.</p>
        <details><summary>What it demands today</summary>${table(
          `Rules of ${name}`,
          [
            { name: 'Rule', show: ({ id }) => html`<code>${id}</code>` },
            { name: 'Level', show: ({ level }) => level },
            { name: 'What it says', show: ({ says }) => cell(says, 600) },
            { name: 'Source', show: ({ source }) => cell(source, 300) },
          ],
          rules,
        )}</details></section>`,
    ),
    html`<section><h2>Protection and demands</h2>${settingsTable('Settings of the partner', settings)}</section>`,
  ];
}

const day = 86_400_000;

/** Certificates as bars, with a line for now. */
export function timeLine(list: readonly Certificate[], now: Date): Html {
  const shown = list.toSorted((a, b) => (a.notBefore < b.notBefore ? -1 : 1)).slice(-12);
  const starts = shown.map(({ notBefore, from }) => Date.parse(from ?? notBefore));
  const ends = shown.map(({ notAfter, until }) =>
    Math.min(Date.parse(notAfter), until ? Date.parse(until) : Infinity),
  );
  // For a certificate that is valid for decades, the years around now.
  const first = Math.max(Math.min(...starts, now.getTime() - 30 * day), now.getTime() - 3 * 365 * day);
  const last = Math.min(Math.max(...ends, now.getTime() + 90 * day), now.getTime() + 5 * 365 * day);
  const width = 760;
  const left = 210;
  const x = (at: number) =>
    left + Math.round(((Math.min(Math.max(at, first), last) - first) / (last - first)) * (width - left - 10));
  const height = shown.length * 26 + 30;
  const years = Array.from({ length: 12 }, (_, at) =>
    Date.UTC(new Date(first).getUTCFullYear() + at, 0, 1),
  ).filter((at) => at > first && at < last);
  const words = shown.map(
    ({ subject, id, notBefore, notAfter, state }) =>
      `${comparable(subject ?? id)}: ${notBefore.slice(0, 10)} to ${notAfter.slice(0, 10)}, ${state}`,
  );
  return html`<svg class="windows" viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${`Time line. ${words.join('. ')}`}>
    ${years.map((at) => html`<line class="axis" x1=${x(at)} x2=${x(at)} y1="0" y2=${height - 18} /><text x=${x(at) + 3} y=${height - 4}>${new Date(at).getUTCFullYear()}</text>`)}
    ${shown.map((each, at) => {
      const start = x(starts[at] ?? first);
      const tone =
        each.state === 'waiting'
          ? 'warn'
          : (ends[at] ?? 0) < now.getTime() || each.state === 'revoked' || each.state === 'rejected'
            ? 'bad'
            : 'good';
      return html`<text x="0" y=${at * 26 + 18}>${nameOf(each)}</text><rect class=${tone} x=${start} y=${at * 26 + 6} rx="3" height="15" width=${Math.max(3, x(ends[at] ?? last) - start)} />`;
    })}
    <line class="now" x1=${x(now.getTime())} x2=${x(now.getTime())} y1="0" y2=${height - 18} />
  </svg>`;
}

function nameOf({ subject, id, uses }: Certificate): string {
  const name = /CN=([^,]*)/.exec(subject ?? '')?.[1] ?? subject ?? id;
  return `${comparable(name).slice(0, 20)} (${uses.map((use) => use.slice(0, 4)).join(', ')})`;
}

function profiles({ profiles: list, announced }: NonNullable<PartnerView['readiness']>): Html {
  return html`<section><h2>Profiles</h2>${table(
    'Which profiles the partner meets',
    [
      { name: 'Profile', show: ({ name }) => name },
      {
        name: 'Meets it',
        show: ({ meets, blocked }) => badge(blocked !== null ? 'blocked' : meets ? 'met' : 'missed'),
      },
      { name: 'What is missing', show: ({ needs, blocked }) => cell(blocked ?? needs.join('; '), 400) },
    ],
    list,
  )}${announced && html`<p>It says it can read ${cell(announced.ciphers.join(', '), 300)} (${time(announced.at)}).</p>`}</section>`;
}

export interface CertificateView {
  certificate: z.output<typeof certificateDetail>;
  may: boolean;
  csrf: string;
  now: Date;
  said: string;
}

export function certificateBody({ certificate: each, may, csrf, now, said }: CertificateView): Html {
  const { id, findings, state } = each;
  const act = (name: string, what: string, help: string, fields: Html, grave = false) =>
    html`<form method="post" action=${`/certificates/${id}/${what}`}><h3>${name}</h3><small>${help}</small>${csrfField(csrf)}${fields}
      ${reasonField(what, { required: what === 'revoke', help: 'For the certificate and the audit trail.' })}
      <button class=${grave ? 'grave' : undefined}>${name}</button></form>`;
  const sameOne = html`<input type="hidden" name="sha256" value=${each.sha256} /><input type="hidden" name="version" value=${String(each.version ?? 0)} />`;
  return [
    notice(said),
    html`<section class=${state === 'waiting' ? 'why' : 'why calm'}><p>${badge(state)} ${cell(each.reason ?? '', 300)}</p>
      ${findings.length > 0 && html`<h2>Compared with what is known</h2><ul>${findings.map((finding) => html`<li>${compared(finding, 400)}</li>`)}</ul>`}
      ${each.rule && html`<p>The rule <strong>${cell(each.rule.name)}</strong> approves it ${moment(each.rule.due, now)}.</p>`}</section>`,
    may &&
      html`<section><h2>What you can do</h2><div class="acts">${[
        state === 'waiting' &&
          act(
            'Approve',
            'approve',
            'It counts as one of its partner from then on. Compare the SHA-256 with what the partner told you on another way.',
            sameOne,
          ),
        (state === 'waiting' || each.source !== 'configuration') &&
          act('Reject', 'reject', 'It counts for nothing, also for mail that waits.', null, true),
        state !== 'revoked' &&
          act(
            'Revoke',
            'revoke',
            'Its key is in wrong hands: nothing is encrypted for it or verified with it any more, wherever it is configured.',
            null,
            true,
          ),
      ].filter(Boolean)}</div></section>`,
    html`<section><h2>What it is</h2>${facts([
      ['Subject', compared(each.subject, 400)],
      ['Issuer', compared(each.issuer, 400)],
      [
        'Whose',
        each.partner === null
          ? cell(each.identity)
          : html`<a href=${pathTo('partners', each.partner)}>${cell(each.partner)}</a>`,
      ],
      ['Addresses in it', compared(each.emails.join(', '), 400)],
      ['Uses', each.uses.join(', ')],
      ['Key', each.key],
      ['Valid from', moment(each.notBefore, now)],
      ['Valid until', moment(each.notAfter, now)],
      ['Used from', each.from === null ? null : moment(each.from, now)],
      ['Used until', each.until === null ? null : moment(each.until, now)],
      ['Source', each.source],
      ['First seen', moment(each.firstSeen, now)],
      ['Last seen', moment(each.lastSeen, now)],
      [
        'Decided',
        each.decided &&
          html`${cell(each.decided.by)} ${moment(each.decided.at, now)} ${cell(each.decided.why, 300)}`,
      ],
      ['Serial number (OpenSSL)', html`<span class="id">${each.serialNumber}</span>`],
      ['Serial number (Windows)', html`<span class="id">${each.serialNumberWindows}</span>`],
      ['SHA-1', html`<span class="id">${each.sha1}</span>`],
      ['SHA-256', html`<span class="id">${each.sha256}</span>`],
    ])}<details id="pem"><summary>As PEM</summary><pre tabindex="0">${each.pem}</pre></details></section>`,
  ];
}
