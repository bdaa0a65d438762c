/** The page docs/api.md, from the OpenAPI document and the examples. */
import { apiExamples, shown } from './api-examples.ts';
import { foldMarkdown } from './fold.ts';

/** What this page reads of an OpenAPI document. */
interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  format?: string;
  additionalProperties?: Schema | boolean;
}
interface Operation {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>;
}
export interface Document {
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const intro = `# The HTTP API

This page is made from the code: \`npm run docs:api\`. [openapi.json](openapi.json) has the same for programs; generate a
client from it. The calls in [Examples](#examples) are run by a test.

## Turn it on

    api:
      port: 8026

The API is a process of its own (role \`api\`), which has no S/MIME keys. It listens on loopback. For other machines, give it
a certificate (\`api.tls\`), or name the proxy that ends TLS (\`api.trustedProxies\`) and the names by which programs reach it
(\`api.hostnames\`). [Settings](settings.md) lists its limits.

## Clients and tokens

Each program is a client with grants: what it may do (its verbs), for which partners and mailboxes, and from which sender
addresses. It needs a token:

    sealpost tokens add erp --scope send,read --partner acme --sender orders@own.example

The token is shown once. Send it with each request, and only there: \`Authorization: Bearer TOKEN\`. A token in a URL is
refused. \`sealpost tokens list\` says when each was last used; \`rotate\` and \`revoke\` do what they say, within a second.
Clients and tokens can have [limits](sending.md#clients) of messages, octets and sizes.

What a client may not see does not exist for it: a foreign id is answered like an unknown one. An inbound message is
seen by its mailbox alone.

## Requests

- Bodies in JSON are UTF-8. A field that is unknown or written twice is refused, and so is a repeated parameter.
- \`Idempotency-Key\` makes a repetition safe: the same key with the same request gives the same ids and one mail, for 7
  days. Boundaries of forms and generated dates do not count. Without a key, each request is a new message.
- \`202\` comes when the message is durable. If you get no answer, repeat the request with its key.
- A body may be large, but it must come: at \`api.bodyMinimumRate\` or faster.
- \`Content-Encoding\` is not taken.

## Events

\`GET /v1/events\` tells what happens to messages, as it happens. A program that cannot listen asks for pages. The same
goes to a system of yours, if you name it:

    events:
      url: https://erp.example.com/hooks/events
      secret: { file: secrets/webhook-events }

Each request has the body \`{"events":[...],"missed":false}\`, with events as in the API, and is signed as webhooks of
[destinations](handoff.md) are. Events come in order, and each at least once. Any answer but 2xx is tried again, at first
after a second, later every minute. The last 50,000 events are kept; \`missed\` is true when older ones are gone.

## Errors

An error is a problem document (RFC 9457, \`application/problem+json\`). \`code\` is stable, and
[reason-codes.md](reason-codes.md) says what to do about each. \`429\` and \`503\` come with \`Retry-After\`: repeat such a request later.
`;

const cellOf = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

export function apiPage(document: Document): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const sections = document.tags.flatMap(({ name, description }) => {
    const of = operations.filter(({ operation }) => operation.tags.includes(name));
    return of.length === 0 ? [] : [`## ${name}`, description, ...of.map(operationText)];
  });
  const schemas = Object.entries(document.components.schemas).map(([name, schema]) =>
    schemaText(name, schema),
  );
  const text = [intro.trim(), ...sections, '## Bodies and answers', ...schemas, examplesText()].join('\n\n');
  return `${foldMarkdown(text)}\n`;
}

function operationText({
  path,
  method,
  operation,
}: {
  path: string;
  method: string;
  operation: Operation;
}): string {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const lines = [`### ${method.toUpperCase()} ${path}`, `${summary}. ${description}`];
  if (parameters.length > 0)
    lines.push(
      [
        '| parameter | in | |',
        '|---|---|---|',
        ...parameters.map(
          ({ name, in: place, description: text = '', schema }) =>
            `| \`${name}\` | ${place} | ${cellOf(text || (schema.description ?? ''))}${enumText(schema)} |`,
        ),
      ].join('\n'),
    );
  if (requestBody)
    lines.push(
      `Body: ${Object.entries(requestBody.content)
        .map(([type, { schema }]) => `\`${type}\` (${typeText(schema)})`)
        .join('; ')}.`,
    );
  const [status = '', answer] = Object.entries(responses).find(([each]) => each.startsWith('2')) ?? [];
  const [type, content] = Object.entries(answer?.content ?? {})[0] ?? [];
  if (content) lines.push(`Answer: \`${status}\`, \`${type}\` (${typeText(content.schema)}).`);
  return lines.join('\n\n');
}

function schemaText(name: string, { description = '', properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(
    ([field, schema]) =>
      `| \`${field}\`${required.includes(field) ? '' : ' (optional)'} | ${cellOf(typeText(schema))} | ${cellOf(schema.description ?? '')} |`,
  );
  return [`### ${name}`, description, ['| field | type | |', '|---|---|---|', ...rows].join('\n')]
    .filter(Boolean)
    .join('\n\n');
}

const enumText = ({ enum: values }: Schema) =>
  values === undefined ? '' : ` One of ${values.map((each) => `\`${each}\``).join(', ')}.`;

function typeText(schema: Schema): string {
  const { $ref, type, items, anyOf, enum: values, format, properties, additionalProperties } = schema;
  if ($ref !== undefined) {
    const name = $ref.split('/').at(-1) ?? '';
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (anyOf) return anyOf.map(typeText).join(' or ');
  if (values) return values.map((each) => `\`${each}\``).join(', ');
  if (type === 'array') return `list of ${items ? typeText(items) : 'values'}`;
  if (properties)
    return `object of ${Object.entries(properties)
      .map(([name, each]) => `\`${name}\` (${typeText(each)})`)
      .join(', ')}`;
  if (type === 'object') return typeof additionalProperties === 'object' ? 'object of text' : 'object';
  if (format === 'binary') return 'octets';
  if (format === 'date-time') return 'time';
  return String(type ?? 'value');
}

function examplesText(): string {
  const texts = apiExamples.map(({ title, command, prints }) =>
    [`### ${title}`, [...command, ...prints.flatMap(shown)].map((line) => `    ${line}`).join('\n')].join(
      '\n\n',
    ),
  );
  return [
    '## Examples',
    'A client of the partner acme with the verbs send and read, and its token in `$TOKEN`.',
    ...texts,
  ].join('\n\n');
}
