/** `POST /v1/messages`: a mail as JSON, as a form, as it is, or made of content of any type. */
import { z } from 'zod';
import { SealpostError } from '../errors.ts';
import {
  Outgoing,
  type Request,
  type Submission,
  type SubmitParts,
  submit,
  timeOf,
} from '../pipeline/submit.ts';
import { type BodyRules, bodyOf, checkBodyFields, Held, wholeBody } from './body.ts';
import { type Attachment, composeMail } from './compose.ts';
import { readForm } from './form.ts';
import { parseJson } from './json.ts';
import { refusal } from './problem.ts';
import { type Answer, type Call, checked, nothing, type Route, route } from './route.ts';
import {
  type FormMessage,
  formMessage,
  idempotencyHeader,
  type JsonMessage,
  jsonMessage,
  type SubmitQuery,
  submitQuery,
  submitted,
} from './schemas.ts';

export interface SubmittingParts extends SubmitParts {
  maxSize: number;
  maxJsonSize: number;
  body: BodyRules;
}

/**
 * How many octets of JSON may be in memory, for all clients. A client may use a quarter, and always enough for one
 * request of any permitted size.
 */
const heldAtLeast = 64 * 1024 * 1024;

type Submit = (rest: Omit<Submission, 'client' | 'origin' | 'idempotencyKey'>) => Promise<Answer>;
type Doing = Call<unknown, SubmitQuery>;

export function submittingRoute(parts: SubmittingParts): Route {
  const held = new Held(Math.max(heldAtLeast, 4 * parts.maxJsonSize));
  return route({
    method: 'POST',
    url: '/v1/messages',
    grant: 'send',
    name: 'submitMessage',
    tag: 'messages',
    summary: 'Send a message',
    description:
      'Answers when the message is stored durably. The type of the body says what it is. JSON is for mail of up to api.maxJsonSize; multipart/form-data, message/rfc822 and all other types are streamed, up to api.maxSize. Parameters of the query belong to message/rfc822 and to content.',
    params: nothing,
    query: submitQuery,
    headers: idempotencyHeader,
    bodies: {
      'application/json': { schema: jsonMessage, description: 'A mail.' },
      'multipart/form-data': { schema: formMessage, description: 'The part message in JSON, then files.' },
      'message/rfc822': { schema: 'octets', description: 'A mail as it is.' },
      '*/*': { schema: 'octets', description: 'Content, which becomes the attachment of a new mail.' },
    },
    status: 202,
    answer: submitted,
    async handle(call) {
      const { request, client, address } = call;
      const key = request.headers['idempotency-key'];
      const type = request.headers['content-type'] ?? '';
      const kind = (/^[^;]*/.exec(type)?.[0] ?? '').trim().toLowerCase();
      const send: Submit = async (rest) => {
        const origin = { kind: 'api' as const, detail: { address, token: client.credential } };
        const idempotencyKey = typeof key === 'string' ? key : undefined;
        const messages = await submit(parts, { client, origin, idempotencyKey, ...rest });
        const [first] = messages;
        const headers = messages.length === 1 && first ? { Location: `/v1/messages/${first.id}` } : {};
        return { status: 202, json: { messages }, headers };
      };
      // The console has read its own form.
      if (call.given) return await send(mailOf(checked(jsonMessage, call.given.json, 'the body')));
      if (kind === '') throw refusal('media-type-unsupported', 'the request does not say what its body is');
      if (kind === 'application/json') return await sendJson(call, parts, held, send);
      if (kind === 'multipart/form-data') return await sendForm(call, type, parts, send);
      return await sendRaw(call, kind, type, parts, send);
    },
  });
}

function noQuery(query: SubmitQuery): void {
  const [name] = Object.keys(query);
  if (name !== undefined)
    throw refusal('request-invalid', `${name} is written in the body, not in the query, of such a request`);
}

async function sendJson(call: Doing, parts: SubmittingParts, held: Held, send: Submit): Promise<Answer> {
  const { request, response, client } = call;
  noQuery(call.query);
  let taken = 0;
  const take = (octets: number) => {
    held.take(client.holder, octets);
    taken += octets;
  };
  try {
    const octets = await wholeBody(bodyOf(request, response, parts.maxJsonSize, parts.body), take);
    return await send(mailOf(checked(jsonMessage, parseJson(octets), 'the body')));
  } finally {
    held.give(client.holder, taken);
  }
}

function mailOf(mail: JsonMessage): ReturnType<typeof submissionOf> {
  return submissionOf(mail, composeMail(mail, decoded(mail.attachments ?? [])));
}

async function sendForm(call: Doing, type: string, parts: SubmittingParts, send: Submit): Promise<Answer> {
  noQuery(call.query);
  const { request, response } = call;
  const form = await readForm(type, bodyOf(request, response, parts.maxSize, parts.body));
  try {
    const mail = checked(formMessage, parseJson(form.message), 'the part message');
    return await send(submissionOf(mail, composeMail(mail, form.files)));
  } finally {
    await form.close();
  }
}

async function sendRaw(
  call: Doing,
  kind: string,
  type: string,
  { maxSize, body }: SubmittingParts,
  send: Submit,
): Promise<Answer> {
  const { request, response, query, client } = call;
  const { partner, recipients, from, filename, metadata, ...delivery } = query;
  // Such a body is no larger than the mail, for which the client may have a limit.
  const most = Math.min(maxSize, client.grants.limits.size || maxSize);
  checkBodyFields(request, most);
  const octets = () => bodyOf(request, response, most, body);
  const isMail = kind === 'message/rfc822';
  if (isMail && filename !== undefined)
    throw refusal('request-invalid', 'a mail as it is has no filename; content has one');
  const addresses = recipients?.split(',').map((each) => each.trim());
  const { priority, ...times } = delivery;
  const request_ = requestOf({
    ...times,
    ...(priority === undefined ? {} : { priority: Number(priority) }),
    ...(metadata === undefined ? {} : { metadata: metadataOf(metadata) }),
  });
  return await send({
    to: toOf(partner, addresses),
    outgoing: isMail ? Outgoing.mail(octets, 'the body') : contentOf(octets, type, filename),
    ...(from === undefined ? {} : { from }),
    ...request_,
  });
}

function contentOf(octets: () => AsyncIterable<Buffer>, type: string, name: string | undefined): Outgoing {
  try {
    return Outgoing.content(octets, 'the body', { type, name });
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'usage')
      throw refusal('media-type-unsupported', error.message, 'send a mail as message/rfc822');
    throw error;
  }
}

function metadataOf(text: string): Record<string, string> {
  return checked(z.record(z.string(), z.string()), parseJson(Buffer.from(text)), 'metadata');
}

function submissionOf(
  mail: FormMessage | JsonMessage,
  octets: AsyncIterable<Buffer>,
): Omit<Submission, 'client' | 'origin' | 'idempotencyKey'> {
  const { partner, recipients, from } = mail;
  return {
    to: toOf(partner, recipients),
    outgoing: Outgoing.mail(() => octets, 'the mail'),
    ...(from === undefined ? {} : { from }),
    ...requestOf(mail),
  };
}

function toOf(partner: string | undefined, recipients: string[] | undefined): Submission['to'] {
  if (partner !== undefined) return { partner, recipients };
  return { recipients: recipients ?? [] };
}

function requestOf({
  metadata,
  priority,
  notBefore,
  notAfter,
}: Pick<FormMessage, 'metadata' | 'priority' | 'notBefore' | 'notAfter'>): Request {
  const delivery = {
    ...(priority === undefined ? {} : { priority }),
    ...(notBefore === undefined ? {} : { notBefore: timeOf(notBefore) }),
    ...(notAfter === undefined ? {} : { notAfter: timeOf(notAfter) }),
  };
  return {
    ...(metadata === undefined ? {} : { metadata }),
    ...(Object.keys(delivery).length === 0 ? {} : { delivery }),
  };
}

function* decoded(attachments: NonNullable<JsonMessage['attachments']>): Generator<Attachment> {
  for (const { filename, contentType, content } of attachments) {
    const octets = Buffer.from(content, 'base64');
    if (octets.toString('base64') !== content)
      throw refusal('request-invalid', `attachment ${JSON.stringify(filename)}: the content is not base64`);
    yield { filename, contentType, octets: [octets] };
  }
}
