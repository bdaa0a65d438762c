/** The OpenAPI 3.1 document of the API, made from its routes. */
import { STATUS_CODES } from 'node:http';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { problemSchema, problemType } from './problem.ts';
import { nothing, type Route } from './route.ts';

/** Statuses that any request may be answered with, apart from its own. */
const refusals = [400, 401, 403, 404, 409, 413, 415, 421, 429, 503] as const;

/** What the document says of a route. */
export function schemaOf(route: Route): FastifySchema {
  const { params, query, headers, answer, status } = route;
  const problems = refusals.map((each) => [
    each,
    { description: STATUS_CODES[each] ?? '', content: { [problemType]: { schema: problemSchema } } },
  ]);
  const success =
    'type' in answer && !(answer instanceof z.ZodType)
      ? { description: answer.description, content: { [answer.type]: { schema: z.string() } } }
      : { description: 'Done.', content: { 'application/json': { schema: answer } } };
  return {
    summary: route.summary,
    description: `${route.description} Grant: ${route.grant === 'token' ? 'any valid token' : route.grant}.`,
    operationId: route.name,
    tags: [route.tag],
    ...(params === nothing ? {} : { params }),
    ...(query === nothing ? {} : { querystring: query }),
    ...(headers === undefined ? {} : { headers }),
    response: Object.fromEntries([[status, success], ...problems]),
  };
}

export const documentOptions = (routes: readonly Route[], version: string): FastifyDynamicSwaggerOptions => ({
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Sealpost',
      version,
      description:
        'Send messages to partners and learn what became of them. Each request needs the token of a client: sealpost tokens add.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://localhost:8026', description: 'As api.host and api.port say.' }],
    tags: [
      { name: 'messages', description: 'Send messages, and see and act on them.' },
      { name: 'directory', description: 'Partners, mailboxes and queues.' },
      { name: 'events', description: 'What happens to messages, as it happens.' },
    ],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }],
  },
  transform: (document) => {
    const made = jsonSchemaTransform(document);
    const route = routes.find(({ url, method }) => url === document.url && method === document.route.method);
    if (route?.bodies === undefined) return made;
    const content = Object.fromEntries(
      Object.entries(route.bodies).map(([type, { schema, description }]) => [
        type,
        { schema: { ...bodySchema(type, schema), description } },
      ]),
    );
    return { ...made, schema: { ...made.schema, body: { content, required: true } } };
  },
  transformObject: jsonSchemaTransformObject,
});

function bodySchema(type: string, schema: z.ZodType | 'octets'): object {
  if (schema === 'octets') return { type: 'string', format: 'binary' };
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' });
  if (type !== 'multipart/form-data') return json;
  const files = { type: 'array', items: { type: 'string', format: 'binary' } };
  return { type: 'object', required: ['message'], properties: { message: json, attachment: files } };
}
