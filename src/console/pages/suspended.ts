/** Suspended messages in groups, acts on many of them, and replays: each with a preview. */
import { bulkActs, bulkResult, preview, refusal, replayList, suspendedList } from '../../api/index.ts';
import { errorRow } from '../../errors.ts';
import { csrfField } from '../csrf.ts';
import { html } from '../html.ts';
import { type PageCall, type PageRoute, page } from '../page.ts';
import { cell, count, hidden, link, reasonField, table } from '../views/parts.ts';
import { previewBody, suspendedBody } from '../views/suspended.ts';

const filters = ['direction', 'reason', 'mailbox', 'partner', 'since', 'until', 'cursor'] as const;

function filterOf(
  get: (name: string) => string | undefined,
): Record<(typeof filters)[number], string | undefined> {
  const of = (name: string) => get(name) || undefined;
  return {
    ...{ direction: of('direction'), reason: of('reason'), mailbox: of('mailbox') },
    ...{ partner: of('partner'), since: of('since'), until: of('until'), cursor: of('cursor') },
  };
}

function actOf(text: string | undefined): (typeof bulkActs)[number] {
  const found = bulkActs.find((each) => each === text);
  if (found) return found;
  throw refusal('request-invalid', 'there is no such act');
}

const explain = (code: string) => {
  const row = errorRow(code);
  return row && { why: row.cause, next: row.remedy };
};

export const suspendedPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/suspended',
    needs: 'viewer',
    async handle({ operations, query, person, now }) {
      const { groups, more } = await operations.json('listSuspended', suspendedList);
      const { reason } = query;
      const shown = reason ? groups.filter((each) => each.reason === reason) : groups;
      const may = (verb: Parameters<typeof person.client.may>[0]) => person.client.may(verb);
      const body = suspendedBody({ groups: shown, more, reason, explain, may, now, said: saidOf(query) });
      return { title: 'Suspended', body };
    },
  }),
  page({
    method: 'GET',
    url: '/suspended/preview',
    needs: 'operator',
    async handle({ operations, query, csrf, now }) {
      const act = actOf(query.act);
      const filter = filterOf((name) => query[name]);
      const found = await operations.json('previewActs', preview, { query: { ...filter, act } });
      return { title: 'What would be done', body: previewBody({ act, filter, found, csrf, now }) };
    },
  }),
  page({
    method: 'POST',
    url: '/suspended/act',
    needs: 'operator',
    async handle({ operations, form }) {
      const why = form.get('why').trim();
      const act = actOf(form.get('act'));
      const json = {
        ...given(filterOf((name) => form.get(name))),
        act,
        ...(why !== '' && { why }),
      };
      const { done, failed, more } = await operations.json('actOnMessages', bulkResult, { json });
      if (failed.length > 0) return { title: 'What was done', body: resultBody(done.length, failed, more) };
      return { to: link('/suspended', { done: String(done.length), act, more: more ? 'yes' : undefined }) };
    },
  }),
  page({
    method: 'GET',
    url: '/replay',
    needs: 'operator',
    async handle(call) {
      return { title: 'Replay', body: await replayPreview(call) };
    },
  }),
  page({
    method: 'POST',
    url: '/replay',
    needs: 'operator',
    async handle({ operations, form }) {
      const why = form.get('why').trim();
      const { reason, partner, mailbox } = filterOf((name) => form.get(name));
      const json = { ...given({ reason, partner, mailbox }), ...(why !== '' && { why }) };
      const { replayed } = await operations.json('replayMessages', replayList, { json });
      return { to: link('/suspended', { done: String(replayed), act: 'replay' }) };
    },
  }),
];

const given = (values: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** After acts on many messages. */
const didWords = {
  resume: 'resumed',
  retry: 'retried',
  terminate: 'terminated',
  'decode-again': 'being decoded again',
  replay: 'replayed',
} as const;

/** A number of the query and a word for the act, and nothing else of it. */
function saidOf({ done, act, more }: Record<string, string>): string {
  const did = Object.entries(didWords).find(([name]) => name === act)?.[1];
  if (did === undefined || done === undefined || !/^\d{1,7}$/.test(done)) return '';
  return `${count(Number(done), 'message')} ${did}.${more === 'yes' ? ' There are more: do it again.' : ''}`;
}

function resultBody(
  done: number,
  failed: readonly { id: string; code: string; detail: string }[],
  more: boolean,
) {
  return [
    html`<p class="done" role="status">${count(done, 'message')} done.${more ? ' There are more.' : ''}</p>`,
    html`<section><h2>${count(failed.length, 'message')} could not be acted on</h2>${table(
      'What could not be done',
      [
        { name: 'Message', show: ({ id }) => html`<a class="id" href=${`/messages/${id}`}>${id}</a>` },
        { name: 'Why', show: ({ code, detail }) => html`<code>${code}</code> ${cell(detail, 300)}` },
      ],
      failed,
    )}<p class="more"><a href="/suspended">Back to Suspended</a></p></section>`,
  ];
}

async function replayPreview({ operations, query, csrf }: PageCall) {
  const { reason, partner, mailbox } = filterOf((name) => query[name]);
  const found = await operations.json('previewReplay', replayList, { query: { reason, partner, mailbox } });
  const { messages, replayed, waiting } = found;
  const act =
    replayed > 0 &&
    html`<form class="act" method="post" action="/replay">${csrfField(csrf)}${hidden({ reason, partner, mailbox })}
      ${reasonField('replay')}
      <div class="field"><button>Replay ${count(replayed, 'message')}</button></div></form>`;
  return [
    html`<section class=${replayed > 0 ? 'why calm' : 'why'}><p><strong>${count(replayed, 'message')}</strong> would go on now;
      ${count(waiting, 'message')} would go on waiting. Inbound messages are decoded again with the keys and certificates of now, outbound ones are sent.</p></section>`,
    act && html`<section><h2>Replay</h2>${act}</section>`,
    messages.length > 0 &&
      html`<section><h2>Which</h2>${table(
        'Messages that wait for certificates or keys',
        [
          {
            name: 'Message',
            show: ({ id }) => html`<a class="id" href=${`/messages/${id}`}>${id.slice(0, 12)}</a>`,
          },
          { name: 'Partner', show: (each) => cell(each.partner) },
          { name: 'Mailbox', show: (each) => cell(each.mailbox) },
          { name: 'Reason', show: (each) => html`<code>${each.reason}</code>` },
          { name: 'Goes on', show: (each) => (each.replayed ? 'yes' : 'no') },
          { name: 'Why', show: ({ why }) => cell(why, 300) },
        ],
        messages.slice(0, 200),
      )}</section>`,
    html`<p><a href="/suspended">Back, and do nothing</a></p>`,
  ];
}
