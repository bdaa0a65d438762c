/** The way of a message as a picture: each step with its time, how long it took, and what the other side said. */
import { type Html, html } from '../html.ts';
import { cell, moment, span, time } from './parts.ts';

export interface WayEvent {
  type: string;
  at: string;
  facts: Readonly<Record<string, string | number | boolean | null | string[]>>;
}

const names: Readonly<Record<string, string>> = {
  received: 'Received',
  duplicate: 'Came again; nothing was done',
  decoded: 'Decoded',
  'handed-off': 'Handed off',
  delivered: 'Delivered everywhere',
  queued: 'Submitted',
  sent: 'Sent',
  retried: 'An attempt failed',
  suspended: 'Suspended',
  resumed: 'Resumed',
  'retry-now': 'Retried by a person',
  'decode-again': 'To be decoded again',
  saved: 'Saved to a file',
  reported: 'Reported',
  'report-failed': 'Could not be reported',
  dropped: 'Dropped by a rule',
  certificate: 'A certificate was seen',
  refused: 'Refused by the policy',
  terminated: 'Terminated by a person',
};

const tones: Readonly<Record<string, string>> = {
  decoded: 'good',
  'handed-off': 'good',
  delivered: 'good',
  sent: 'good',
  retried: 'warn',
  suspended: 'bad',
  refused: 'bad',
  'report-failed': 'bad',
};

/** Facts that are shown as a sentence, and those that the verdict shows. */
const told = ['host', 'reply', 'message', 'attempt', 'reason', 'destination', 'by', 'why', 'delay', 'error'];
const elsewhere = [
  'layers',
  'encrypted',
  'signature',
  'integrity',
  'status',
  'decryptionThumbprint',
  'signatureThumbprint',
  'used',
  'keys',
  // the queue, and what the reply says anyway
  'work',
  'queue',
  'code',
];

/** Other facts in words. */
const words: Readonly<Record<string, string>> = {
  kind: 'by',
  client: 'from',
  helo: 'which says it is',
  protocol: 'with',
  tls: 'over',
  partnerBy: 'known by',
  possibleDuplicate: 'possibly there already',
  repeated: 'it was there already',
  late: 'after it had ended',
  backup: 'by the backup route',
  shortfalls: 'falls short of',
  recipients: 'recipients',
  attempts: 'attempts',
};

export function way(events: readonly WayEvent[], next: string | null, now: Date): Html {
  return html`<ol class="way">${events.map((event, at) => {
    const before = events[at - 1];
    const took = before && Date.parse(event.at) - Date.parse(before.at);
    return html`<li class=${tones[event.type] ?? 'plain'}>
      <p><strong>${names[event.type] ?? event.type}</strong>${about(event)}</p>
      <p class="took">${time(event.at)}${took !== undefined && took > 0 ? `, ${span(took)} later` : ''}${rest(event)}</p></li>`;
  })}${next !== null && html`<li class="ahead"><p><strong>Next attempt</strong></p><p class="took">${moment(next, now)}</p></li>`}</ol>`;
}

const text = (value: WayEvent['facts'][string] | undefined): string =>
  value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') : String(value);

function about({ facts }: WayEvent): Html {
  const { destination, host, reply, message, reason, attempt, by, why } = facts;
  const said = text(reply) || text(message);
  return [
    text(destination) !== '' && html` to ${cell(text(destination))}`,
    text(attempt) !== '' && html` (attempt ${text(attempt)})`,
    text(reason) !== '' && html` <code>${text(reason)}</code>`,
    text(host) !== '' && html` at <span class="id">${cell(text(host))}</span>`,
    said !== '' && html`: ${cell(said, 400)}`,
    text(by) !== '' && html` by ${cell(text(by))}`,
    text(why) !== '' && html`: “${cell(text(why), 300)}”`,
  ];
}

/** What else is known. */
function rest({ facts }: WayEvent): Html {
  const others = Object.entries(facts).filter(
    ([name, value]) =>
      !told.includes(name) && !elsewhere.includes(name) && text(value) !== '' && value !== false,
  );
  const { delay } = facts;
  return [
    others.map(([name, value]) => [
      `, ${words[name] ?? name}`,
      value !== true && html` ${cell(text(value), 200)}`,
    ]),
    typeof delay === 'number' && `, again after ${span(delay)}`,
  ];
}
