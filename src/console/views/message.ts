/** One message: why and what next on top, then its way, its verdict, and the acts that the person may do. */
import type { MessageDetail, MessageVerdict, Verb } from '../../api/index.ts';
import { csrfField } from '../csrf.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, facts, live, moment, notice, pathTo, reasonField, size, time } from './parts.ts';
import { policyView, verdictView } from './verdict.ts';
import { way } from './way.ts';

export interface MessageView {
  message: MessageDetail;
  /** Undefined if nothing of it is kept. */
  verdict: MessageVerdict | undefined;
  may: (verb: Verb) => boolean;
  csrf: string;
  now: Date;
  /** The notice about the last act. */
  said: string;
}

export function messageBody(view: MessageView): Html {
  const { message, said, now } = view;
  return [
    notice(said),
    live('why', why(view)),
    acts(view),
    html`<div class="columns">
      ${live('way', html`<section><h2>Its way</h2>${way(message.events, message.nextAttempt, now)}</section>`)}
      <section><h2>What it is</h2>${about(message)}</section>
    </div>`,
    html`<section><h2>Verdict</h2>${message.direction === 'inbound' && policyView(message.events)}${verdictOf(view)}</section>`,
  ];
}

function why({ message: { explanations, state, nextAttempt, attempts }, now }: MessageView): Html {
  if (explanations.length === 0)
    return html`<section class="why calm"><p>${badge(state)} ${sentence(state)}</p></section>`;
  return html`<section class="why">${explanations.map(
    ({ code, why: cause, next }) =>
      html`<p>${badge(state)} <strong>Why:</strong> ${cause}. <code>${code}</code></p><p><strong>What next:</strong> ${next}</p>`,
  )}${nextAttempt !== null && html`<p>${attempts} failed so far; the next attempt is ${moment(nextAttempt, now)}.</p>`}</section>`;
}

function sentence(state: string): string {
  const words: Readonly<Record<string, string>> = {
    received: 'It is stored, and waits to be decoded.',
    decoded: 'It is decoded, and waits to be handed off.',
    delivered: 'It was handed off to every destination.',
    queued: 'It waits to be sent.',
    sent: 'It was sent.',
    terminated: 'It was terminated; nothing more happens.',
    suspended: 'It waits for a person.',
  };
  return words[state] ?? '';
}

function about(message: MessageDetail): Html {
  const { envelope, metadata } = message;
  return facts([
    ['Id', html`<span class="id">${message.id}</span>`],
    ['Direction', message.direction],
    [
      'Partner',
      message.partner === null
        ? null
        : html`<a href=${pathTo('partners', message.partner)}>${cell(message.partner)}</a>${
            message.partnerBy === null ? '' : ` (by ${message.partnerBy})`
          }`,
    ],
    ['Mailbox', cell(message.mailbox)],
    ['Client', cell(message.client)],
    ['Envelope from', cell(envelope.from === '' ? '<>' : envelope.from, 320)],
    ['Envelope to', cell(envelope.to.join(', '), 1000)],
    ['Subject', cell(message.subject, 300)],
    ['Message-ID', cell(message.messageId, 300)],
    ['Size', size(message.octets)],
    ['SHA-256', html`<span class="id">${message.sha256}</span>`],
    ['Received', time(message.receivedAt)],
    ['Last change', time(message.updatedAt)],
    ['Came by', message.origin],
    ['Priority', message.priority],
    ['Not before', message.notBefore === null ? null : time(message.notBefore)],
    ['Not after', message.notAfter === null ? null : time(message.notAfter)],
    ...Object.entries(metadata).map(
      ([name, value]) => [`Metadata ${name.slice(0, 60)}`, cell(value, 300)] as const,
    ),
  ]);
}

/** What the events say of the findings, if the verdict itself is not kept. */
function verdictOf({ verdict, message: { events, direction } }: MessageView): Html {
  if (verdict) return verdictView(verdict);
  if (direction === 'outbound')
    return html`<p>An outbound message has none: it is signed and encrypted anew for each attempt.</p>`;
  const found = events.findLast(({ facts: { layers } }) => Array.isArray(layers))?.facts;
  if (found === undefined) return html`<p>It was not decoded yet.</p>`;
  const layers = Array.isArray(found.layers) ? found.layers : [];
  const drawn = layers.reduceRight<Html>(
    (inner, type) =>
      html`<div class=${`layer ${/signed/.test(type) ? String(found.signature) : /envelop|encrypt/.test(type) ? 'encryption' : ''}`}><strong>${type}</strong>${inner}</div>`,
    html`<div class="layer">Content</div>`,
  );
  return [
    html`<p>${found.encrypted === true ? 'Encrypted' : 'Not encrypted'}; signature ${badge(String(found.signature ?? 'none'))};
      integrity ${String(found.integrity ?? 'none')}. Details are kept while the message is on its way.</p>`,
    drawn,
  ];
}

const ended = ['delivered', 'sent', 'terminated'];

function acts({ message, may, csrf }: MessageView): Html {
  const { id, state, direction } = message;
  const one = (act: string, name: string, help: string, grave = false) =>
    html`<form method="post" action=${`/messages/${id}/${act}`}>
      <h3>${name}</h3><small>${help}</small>${csrfField(csrf)}
      ${reasonField(act, { required: act === 'terminate' })}
      <button class=${grave ? 'grave' : undefined}>${name}</button></form>`;
  const shown = [
    state === 'suspended' && may('resume') && one('resume', 'Resume', 'The step that failed is done again.'),
    !ended.includes(state) &&
      state !== 'suspended' &&
      may('retry') &&
      one('retry', 'Retry', 'What waits for its next attempt or its route is tried at once.'),
    direction === 'inbound' &&
      (state === 'suspended' || state === 'delivered') &&
      may('decode-again') &&
      one(
        'decode-again',
        'Decode again',
        'From its original, with the keys and settings of now. What was delivered before is delivered again.',
      ),
    !ended.includes(state) &&
      may('terminate') &&
      one(
        'terminate',
        'Terminate',
        'It is not delivered or sent any more, and its octets are removed. There is no way back.',
        true,
      ),
  ].filter(Boolean);
  const looks =
    may('content') &&
    html`<p>${
      direction === 'inbound' &&
      html`<a class="button quiet" href=${`/messages/${id}/text`}>Read as text</a> `
    }<a class="button quiet" href=${`/messages/${id}/original`}>Save the original</a> <small>Each look is noted in the audit trail.</small></p>`;
  if (shown.length === 0 && looks === false) return null;
  return html`<section><h2>What you can do</h2><div class="acts">${shown}</div>${looks}</section>`;
}

/** The text of a message, for people who may read it. */
export function textBody({
  id,
  text,
  cut,
  parts,
}: {
  id: string;
  text: string;
  cut: boolean;
  parts: readonly { name: string; type: string; octets: number }[];
}): Html {
  return [
    html`<p><a href=${`/messages/${id}`}>Back to the message</a></p>`,
    html`<section><h2>Text</h2>${text === '' ? html`<p>It has no text.</p>` : html`<pre tabindex="0">${text}</pre>`}${
      cut && html`<p>The beginning alone is shown. Save the content to see all of it.</p>`
    }<p><a class="button quiet" href=${`/messages/${id}/content`}>Save the content</a></p></section>`,
    parts.length > 0 &&
      html`<section><h2>Parts</h2><ul>${parts.map(({ name, type, octets }) => html`<li>${cell(name)} (${cell(type)}, ${size(octets)})</li>`)}</ul></section>`,
  ];
}
