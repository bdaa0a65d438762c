/**
 * What an integrator would write: a client that is generated from docs/openapi.json. `document.test.ts` generates it
 * beside a copy of this file, checks the types of both, and runs this against a daemon. It prints the id of its
 * message.
 */
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { paths } from './openapi.ts';

const [, , baseUrl = ''] = process.argv;
const client = createClient<paths>({
  baseUrl,
  headers: { authorization: `Bearer ${process.env.TOKEN}` },
});

const sent = await client.POST('/v1/messages', {
  body: { partner: 'acme', text: 'from a generated client' },
});
assert.equal(sent.error, undefined);
const id = sent.data?.messages[0]?.id ?? '';
const path = { id };
const seen = await client.GET('/v1/messages/{id}', { params: { path } });
assert.deepEqual([seen.data?.state, seen.data?.attempts, seen.data?.nextAttempt], ['queued', 0, null]);
const listed = await client.GET('/v1/messages', { params: { query: { state: 'queued', limit: '10' } } });
assert.ok(listed.data?.messages.some((each) => each.id === id));
const original = await client.GET('/v1/messages/{id}/original', { params: { path }, parseAs: 'text' });
assert.match(String(original.data), /from a generated client/);
const queues = await client.GET('/v1/queues');
assert.deepEqual(
  queues.data?.queues.map(({ name, direction, suspended }) => [name, direction, suspended]),
  [['acme', 'outbound', 0]],
);
const terminate = (why: string) =>
  client.POST('/v1/messages/{id}/terminate', { params: { path }, body: { why } });
const ended = await terminate('a test');
assert.deepEqual(ended.data, { id, state: 'terminated' });
const again = await terminate('again');
assert.deepEqual([again.error?.status, again.error?.code], [409, 'message-state']);
const resumed = await client.POST('/v1/messages/{id}/resume', { params: { path }, body: {} });
assert.equal(resumed.error?.code, 'not-granted');
const retried = await client.POST('/v1/messages/{id}/retry', { params: { path }, body: {} });
assert.deepEqual([retried.error?.status, retried.error?.code], [409, 'message-state']);
console.log(id);
