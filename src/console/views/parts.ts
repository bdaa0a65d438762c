/** The parts that pages are made of. */
import { comparable } from '../../printable.ts';
import { type Html, html, short } from '../html.ts';

/** The longest text of a stranger in a cell. */
const mostInCell = 120;

/** A time as `2026-11-30 08:47:12`; `-` for none. */
export function time(iso: string | null): Html {
  if (iso === null) return '-';
  return html`<time datetime=${iso}>${iso.slice(0, 10)} ${iso.slice(11, 19)}</time>`;
}

const hoursOfYear = 365.25 * 24;

/** How long, in one or two units: `3 min 5 s`, `2 d 4 h`, `13 years`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  if (hours >= 2 * hoursOfYear) return `${Math.floor(hours / hoursOfYear)} years`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 || days >= 10 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** A time, and how far it is from now. */
export function moment(iso: string | null, now: Date): Html {
  if (iso === null) return '-';
  const ms = Date.parse(iso) - now.getTime();
  const words = ms > 0 ? `in ${span(ms)}` : `${span(-ms)} ago`;
  return html`${time(iso)} <span class="ago">(${words})</span>`;
}

export function size(octets: number): string {
  if (octets < 1000) return `${octets} B`;
  if (octets < 1_000_000) return `${(octets / 1000).toFixed(1)} kB`;
  if (octets < 1e9) return `${(octets / 1e6).toFixed(1)} MB`;
  return `${(octets / 1e9).toFixed(2)} GB`;
}

export function count(many: number, one: string, more = `${one}s`): string {
  return `${many.toLocaleString('en')} ${many === 1 ? one : more}`;
}

/** Text of a stranger, cut. */
export const cell = (text: string | null, most = mostInCell): Html =>
  text === null || text === '' ? '-' : html`<bdi>${short(text, most)}</bdi>`;

/** A name that somebody compares, in which letters of other scripts show as such. */
export const compared = (text: string | null, most = mostInCell): Html =>
  cell(text === null ? null : comparable(text), most);

const tones: Readonly<Record<string, string>> = {
  suspended: 'bad',
  failing: 'bad',
  critical: 'bad',
  expired: 'bad',
  revoked: 'bad',
  rejected: 'bad',
  invalid: 'bad',
  failed: 'bad',
  warning: 'warn',
  waiting: 'warn',
  paused: 'warn',
  full: 'warn',
  untrusted: 'warn',
  disabled: 'bad',
  invited: 'warn',
  active: 'good',
  accepted: 'good',
  refused: 'bad',
  dropped: 'warn',
  unknown: 'dim',
  terminated: 'dim',
  delivered: 'good',
  sent: 'good',
  works: 'good',
  met: 'good',
  good: 'good',
  'in-force': 'good',
  missed: 'warn',
  blocked: 'bad',
  valid: 'good',
  approved: 'good',
  configured: 'good',
  idle: 'good',
  reading: 'good',
};

/** A state as a word. The word says it; the colour only helps. */
export function badge(state: string): Html {
  return html`<span class=${`badge ${tones[state] ?? 'plain'}`}>${state}</span>`;
}

export interface Column<Row> {
  name: string;
  /** Right-aligned. */
  number?: boolean;
  show(row: Row): Html;
}

/** A table, which becomes a list of cards where there is no room. */
export function table<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { hidden = true, chart }: { hidden?: boolean; chart?: string } = {},
): Html {
  const kind = ({ number }: Column<Row>) => (number ? 'number' : undefined);
  return html`<div class="wide" role="region" aria-label=${caption} tabindex="0"><table data-chart=${chart}>
    <caption class=${hidden ? 'unseen' : undefined}>${caption}</caption>
    <thead><tr>${columns.map((column) => html`<th scope="col" class=${kind(column)}>${column.name}</th>`)}</tr></thead>
    <tbody>${rows.map(
      (row) =>
        html`<tr>${columns.map(
          (column) => html`<td data-label=${column.name} class=${kind(column)}>${column.show(row)}</td>`,
        )}</tr>`,
    )}</tbody>
  </table></div>`;
}

/** Names with their values. Those without a value are left out. */
export function facts(pairs: readonly (readonly [name: string, value: Html])[]): Html {
  const shown = pairs.filter(
    ([, value]) => value !== null && value !== '' && value !== undefined && value !== '-',
  );
  return html`<dl class="facts">${shown.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What was done just now. */
export const notice = (said: string): Html => said !== '' && html`<p class="done" role="status">${said}</p>`;

/** What to do, if there is nothing to show. */
export function empty(what: string, next: Html): Html {
  return html`<div class="empty"><p><strong>${what}</strong></p><p>${next}</p></div>`;
}

/** What each field says of itself. */
export interface Help {
  /** What it is. */
  help: string;
  /** What counts if it is left as it is. Undefined for a field that must be filled in. */
  standard?: string | undefined;
  /** Its name on the command line, or the setting that it is about. Undefined where there is none. */
  named?: string | undefined;
}

/** The explanation of a field. */
export function helpText({ help, standard, named }: Help): Html {
  return html`${help}${standard !== undefined && ` Default: ${standard}.`}${named !== undefined && html` <code>${named}</code>`}`;
}

export interface FieldView extends Help {
  name: string;
  /** What tells it from others of that name on the page. */
  of?: string | undefined;
  label: string;
  value?: string | undefined;
  type?: 'text' | 'search' | 'datetime-local' | 'hidden' | 'checkbox';
  required?: boolean;
  /** Values to choose from, with their labels; '' means any. */
  options?: readonly (readonly [value: string, name: string])[];
}

/** A field with its label and its explanation. */
export function field({
  name,
  of,
  label,
  value = '',
  type = 'text',
  required = false,
  options,
  ...help
}: FieldView): Html {
  const id = of === undefined ? `field-${name}` : `field-${name}-${of}`;
  const about = `${id}-help`;
  const input = options
    ? html`<select id=${id} name=${name} aria-describedby=${about}>${options.map(
        ([each, text]) => html`<option value=${each} selected=${each === value}>${text}</option>`,
      )}</select>`
    : html`<input id=${id} name=${name} type=${type} value=${value} required=${required} aria-describedby=${about} />`;
  return html`<div class="field"><label for=${id}>${label}</label>${input}<small id=${about}>${helpText(help)}</small></div>`;
}

/** The reason for an act. */
export function reasonField(
  of: string,
  {
    required = false,
    help = 'For the ledger and the audit trail.',
  }: { required?: boolean; help?: string } = {},
): Html {
  const standard = required ? undefined : 'none';
  return field({ name: 'why', of, label: 'Reason', required, help, standard, named: '--why' });
}

/** Check boxes with one name. */
export function boxes(
  name: string,
  legend: string,
  options: readonly (readonly [value: string, label: string, about: string])[],
  ticked: readonly string[],
  help: Help,
): Html {
  const about = `boxes-${name}-help`;
  return html`<fieldset class="boxes" aria-describedby=${about}><legend>${legend}</legend><small id=${about}>${helpText(help)}</small>${options.map(
    ([
      value,
      label,
      about,
    ]) => html`<label><input type="checkbox" name=${name} value=${value} checked=${ticked.includes(value)} />
      <span>${label}${about !== '' && html` <small>${about}</small>`}</span></label>`,
  )}</fieldset>`;
}

/** Names as they are written in a field, and back. */
export const namesText = (names: '*' | readonly string[]): string => (names === '*' ? '*' : names.join(', '));
export function namesOf(text: string): '*' | string[] {
  if (text.trim() === '*') return '*';
  return text.split(/[\s,]/).filter((each) => each !== '');
}

/** Names, in a list of many rows. */
export const namesCell = (names: '*' | readonly string[]): Html =>
  names === '*' ? 'all' : names.length === 0 ? 'none' : cell(names.join(', '), 120);

/** Hidden fields. */
export function hidden(values: Readonly<Record<string, string | undefined>>): Html {
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [html`<input type="hidden" name=${name} value=${value} />`],
  );
}

/** A path of names: `/partners/acme`. */
export const pathTo = (...names: readonly string[]): string => `/${names.map(encodeURIComponent).join('/')}`;

/** A path with a query; empty values are left out. */
export function link(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value ? [[name, value] as [string, string]] : [],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** A part of a page that scripts keep up to date. */
export function live(id: string, content: Html): Html {
  return html`<div id=${id} data-live>${content}</div>`;
}
