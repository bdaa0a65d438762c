/** The OpenAPI 3.1 document of the API, made from its routes. */
import { STATUS_CODES } from 'node:http';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import { z } from 'zod';
import {
  approveBody,
  certificateDetail,
  certificateInfo,
  certificateList,
  pinBody,
  rejectBody,
  revokeBody,
} from './certificate-schemas.ts';
import {
  bulkResult,
  mailboxInfo,
  mailboxList,
  overview,
  preview,
  routeActBody,
  routeActed,
  routeInfo,
  routeList,
  suspendedList,
} from './overview-schemas.ts';
import { problemSchema, problemType } from './problem.ts';
import { matrixList, matrixRow, replayBody, replayList } from './readiness-schemas.ts';
import { nothing, type Route } from './route.ts';
import {
  actBody,
  acted,
  attachment,
  eventList,
  formMessage,
  jsonMessage,
  messageDetail,
  messageEvent,
  messageList,
  messageSummary,
  messageVerdict,
  partnerList,
  queueList,
  submitted,
  terminateBody,
} from './schemas.ts';
import { setupReport } from './setup.ts';

/** Schemas that have a name in the document. */
const requests = {
  Attachment: attachment,
  NewMessage: jsonMessage,
  FormMessage: formMessage,
  Act: actBody,
  Terminate: terminateBody,
  RouteAct: routeActBody,
  ApproveCertificate: approveBody,
  RejectCertificate: rejectBody,
  RevokeCertificate: revokeBody,
  PinCertificate: pinBody,
  Replay: replayBody,
};
const answers = {
  Problem: problemSchema,
  Submitted: submitted,
  MessageSummary: messageSummary,
  Message: messageDetail,
  MessageList: messageList,
  MessageVerdict: messageVerdict,
  Acted: acted,
  PartnerList: partnerList,
  Mailbox: mailboxInfo,
  MailboxList: mailboxList,
  Overview: overview,
  Setup: setupReport,
  SuspendedList: suspendedList,
  Preview: preview,
  BulkResult: bulkResult,
  Route: routeInfo,
  RouteList: routeList,
  RouteActed: routeActed,
  QueueList: queueList,
  CertificateInfo: certificateInfo,
  Certificate: certificateDetail,
  CertificateList: certificateList,
  Replayed: replayList,
  Readiness: matrixRow,
  ReadinessList: matrixList,
  Event: messageEvent,
  EventList: eventList,
};

/** Statuses that any request may be answered with, besides its own. */
const refusals = [400, 401, 403, 404, 409, 413, 415, 421, 429, 500, 503] as const;

/** How fastify writes the answers of a route. */
export function serializersOf({ answer, status }: Route): FastifySchema {
  return isJson(answer) ? { response: { [status]: answer } } : {};
}

const isJson = (answer: Route['answer']): answer is z.ZodType => answer instanceof z.ZodType;

export const documentOptions = (routes: readonly Route[], version: string): FastifyDynamicSwaggerOptions => ({
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Sealpost',
      version,
      description:
        'Send messages to partners and learn what became of them. Each request needs the token of a client: `sealpost tokens add`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:8026', description: 'As api.host and api.port say.' }],
    tags: [
      { name: 'messages', description: 'Send messages, and see and act on them.' },
      { name: 'events', description: 'What happens to messages, as it happens.' },
      { name: 'certificates', description: 'Certificates of partners, and your own; decide about new ones.' },
      { name: 'directory', description: 'Partners and queues, and what happens as a whole.' },
      {
        name: 'routes',
        description: 'Mailboxes, the ways to partners, and destinations: how they are; pause them.',
      },
      { name: 'users', description: 'People of the console. Nobody gives rights that it does not have.' },
      { name: 'clients', description: 'Programs and their tokens. No token raises its own rights.' },
    ],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } }, schemas: components() },
    security: [{ token: [] }],
  },
  transform: (document) => {
    const route = routes.find(({ url, method }) => url === document.url && method === document.route.method);
    if (route === undefined) return { schema: { hide: true }, url: document.url };
    const { params, query, headers, bodies } = route;
    const parameters = {
      ...(params === nothing ? {} : { params }),
      ...(query === nothing ? {} : { querystring: query }),
      ...(headers === undefined ? {} : { headers }),
    };
    const { schema, url } = jsonSchemaTransform({ ...document, schema: parameters });
    const described = {
      ...schema,
      summary: route.summary,
      description: `${route.description} Grant: ${route.grant === 'token' ? 'any valid token' : route.grant}.`,
      operationId: route.name,
      tags: [route.tag],
      response: responsesOf(route),
      ...(bodies === undefined ? {} : { body: { content: contentOf(bodies), required: true } }),
    };
    return { schema: described, url };
  },
});

function components() {
  const made = Object.entries(requests).map(([name, schema]) => [name, jsonOf(schema, 'input')] as const);
  const said = Object.entries(answers).map(([name, schema]) => [name, jsonOf(schema, 'output')] as const);
  const all = [...made, ...said];
  return Object.fromEntries(all.map(([name, schema]) => [name, withReferences(schema, name, all)]));
}

/** The schema, with references in place of the named schemas inside it. */
function withReferences(
  schema: Record<string, unknown>,
  own: string,
  all: readonly (readonly [string, Record<string, unknown>])[],
): object {
  const texts = new Map(all.map(([name, each]) => [JSON.stringify(each), name]));
  return JSON.parse(JSON.stringify(schema), (_key, value: unknown) => {
    const name = typeof value === 'object' && value !== null ? texts.get(JSON.stringify(value)) : undefined;
    return name === undefined || name === own ? value : { $ref: `#/components/schemas/${name}` };
  });
}

function jsonOf(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    override: ({ jsonSchema }) => {
      // Every integer is one that JavaScript can represent exactly.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return json;
}

/** A schema by its name, if it has one. */
function reference(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const named = Object.entries({ ...requests, ...answers }).find(([, each]) => each === schema);
  return named ? { $ref: `#/components/schemas/${named[0]}` } : jsonOf(schema, io);
}

function responsesOf({ answer, status, url }: Route): Record<string, object> {
  const more = url === '/v1/events' ? { 'text/event-stream': { schema: { type: 'string' } } } : {};
  const success = isJson(answer)
    ? {
        description: 'Done.',
        content: { 'application/json': { schema: reference(answer, 'output') }, ...more },
      }
    : {
        description: answer.description,
        content: { [answer.type]: { schema: { type: 'string', format: 'binary' } } },
      };
  const problem = { [problemType]: { schema: reference(problemSchema, 'output') } };
  const problems = refusals.map((each) => [
    each,
    { description: STATUS_CODES[each] ?? '', content: problem },
  ]);
  return Object.fromEntries([[status, success], ...problems]);
}

function contentOf(bodies: NonNullable<Route['bodies']>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(bodies).map(([type, { schema }]) => [type, { schema: bodySchema(type, schema) }]),
  );
}

function bodySchema(type: string, schema: z.ZodType | 'octets'): object {
  if (schema === 'octets') return { type: 'string', format: 'binary' };
  if (type !== 'multipart/form-data') return reference(schema, 'input');
  const files = { type: 'array', items: { type: 'string', format: 'binary' } };
  return {
    type: 'object',
    required: ['message'],
    properties: { message: reference(schema, 'input'), attachment: files },
  };
}
