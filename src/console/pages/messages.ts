/** Messages, one message, and the acts on it. */
import {
  type Answer,
  acted,
  type MessageVerdict,
  messageDetail,
  messageList,
  messageVerdict,
  refusal,
} from '../../api/index.ts';
import { hasCode } from '../../errors.ts';
import { type PageCall, type PageRoute, page, type Veil } from '../page.ts';
import { messageBody, textBody } from '../views/message.ts';
import { type Filter, filterNames, messagesBody } from '../views/messages.ts';
import { link, pathTo } from '../views/parts.ts';
import { mailText } from './mail-text.ts';
import { telling, told } from './told.ts';

const states = ['received', 'decoded', 'delivered', 'suspended', 'terminated', 'queued', 'sent'];

/** The filters that were given, without empty fields: a form sends all of them. */
function filterOf(get: (name: string) => string | undefined): Filter {
  const filter: Filter = {};
  for (const name of filterNames) {
    const value = get(name)?.trim();
    if (value !== undefined && value !== '') filter[name] = value;
  }
  return filter;
}

/** A date without a time means its beginning in UTC. */
const timeOf = (text: string | undefined) =>
  text !== undefined && /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;

const acts = {
  resume: 'resumeMessage',
  retry: 'retryMessage',
  terminate: 'terminateMessage',
  'decode-again': 'decodeMessageAgain',
} as const;

/** Octets of a message that are read for its text. */
const mostText = 1024 * 1024;
const mostShown = 200_000;

/**
 * A filter as it stands in addresses, which histories and logs of proxies keep. A subject is content of messages, so it
 * is hidden there.
 */
function addressOf({ subject, ...filter }: Filter, veil: Veil): Record<string, string> {
  return { ...filter, ...(subject !== undefined && { words: veil.hide(subject) }) };
}

export const messagePages: readonly PageRoute[] = [
  page({
    method: 'POST',
    url: '/messages/search',
    needs: 'viewer',
    async handle({ form, veil }) {
      return {
        to: link(
          '/messages',
          addressOf(
            filterOf((name) => form.get(name)),
            veil,
          ),
        ),
      };
    },
  }),
  page({
    method: 'GET',
    url: '/messages',
    needs: 'viewer',
    async handle({ operations, query, person, csrf, veil }) {
      // as in an address of before
      if (query.subject)
        return {
          to: link(
            '/messages',
            addressOf(
              filterOf((name) => query[name]),
              veil,
            ),
          ),
        };
      const subject = query.words && veil.show(query.words);
      if (subject === undefined && query.words !== undefined)
        throw refusal('request-invalid', 'this search is not one of yours', 'search again');
      const filter = filterOf((name) => (name === 'subject' ? subject : query[name]));
      const { since, until, id, ...others } = filter;
      const asked =
        id === undefined
          ? { ...others, since: timeOf(since), until: timeOf(until), cursor: query.cursor }
          : { id };
      const { messages, cursor } = await operations.json('searchMessages', messageList, { json: asked });
      const goesOn = query.cursor !== undefined;
      return {
        title: 'Messages',
        body: messagesBody({
          filter,
          address: addressOf(filter, veil),
          csrf,
          messages,
          cursor,
          goesOn,
          states,
          content: person.client.may('content'),
        }),
      };
    },
  }),
  page({
    method: 'GET',
    url: '/messages/:id',
    needs: 'viewer',
    async handle({ operations, params, query, person, csrf, now }) {
      const message = await operations.json('getMessage', messageDetail, { params });
      const verdict = message.direction === 'inbound' ? await verdictOf(operations, params) : undefined;
      const may = (verb: Parameters<typeof person.client.may>[0]) => person.client.may(verb);
      const body = messageBody({ message, verdict, may, csrf, now, said: told(query.did) });
      return { title: `Message ${message.id.slice(0, 10)}`, body };
    },
  }),
  ...Object.entries(acts).map(([path, operation]) =>
    page({
      method: 'POST',
      url: `/messages/:id/${path}`,
      needs: 'operator',
      async handle({ operations, params, form }) {
        const why = form.get('why').trim();
        await operations.json(operation, acted, { params, json: why === '' ? {} : { why } });
        const did = Object.keys(acts).find((each): each is keyof typeof acts => each === path) ?? 'resume';
        return { to: telling(pathTo('messages', params.id ?? ''), did) };
      },
    }),
  ),
  page({
    method: 'GET',
    url: '/messages/:id/text',
    needs: 'viewer',
    async handle({ operations, params }) {
      const id = params.id ?? '';
      const { octets, whole } = await beginning(await operations.call('getContent', { params }));
      const { text, parts, whole: read } = await mailText(octets);
      const cut = !whole || !read || text.length > mostShown;
      return {
        title: `Text of ${id.slice(0, 10)}`,
        body: textBody({ id, text: text.slice(0, mostShown), cut, parts }),
      };
    },
  }),
  ...(['original', 'content'] as const).map((what) =>
    page({
      method: 'GET',
      url: `/messages/:id/${what}`,
      needs: 'viewer',
      async handle({ operations, params }) {
        const operation = what === 'original' ? 'getOriginal' : 'getContent';
        return { answer: await operations.call(operation, { params }) };
      },
    }),
  ),
];

/** Undefined if nothing decoded is kept. The page then shows what the ledger knows. */
async function verdictOf(
  operations: PageCall['operations'],
  params: Record<string, string>,
): Promise<MessageVerdict | undefined> {
  try {
    const answer = await operations.json('getVerdict', messageVerdict, { params });
    return isVerdict(answer) ? answer : undefined;
  } catch (error) {
    if (hasCode(error, 'original-gone')) return undefined;
    throw error;
  }
}

/** The codec wrote it. An earlier version may have written less. */
function isVerdict(answer: {
  verdict: Record<string, unknown>;
  headersShown: boolean;
}): answer is MessageVerdict & typeof answer {
  const { layers, headers, pieces } = answer.verdict;
  return Array.isArray(layers) && Array.isArray(pieces) && typeof headers === 'object' && headers !== null;
}

async function beginning(answer: Answer): Promise<{ octets: Buffer; whole: boolean }> {
  if (!('stream' in answer)) throw refusal('internal', 'the operation gives no octets');
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of answer.stream) {
    chunks.push(chunk);
    octets += chunk.length;
    if (octets >= mostText) break;
  }
  return { octets: Buffer.concat(chunks).subarray(0, mostText), whole: octets < mostText };
}
