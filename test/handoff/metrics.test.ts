import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createDestination } from '../../src/handoff/index.ts';
import { registry } from '../../src/metrics.ts';
import { crlf, delivery, deps, never, temporary } from './support.ts';

it('counts attempts by kind and result', async (t) => {
  const made = await createDestination({ type: 'directory', path: await temporary(t) }, deps());
  await made.deliver(delivery(crlf('Content-Type: text/plain\n\nx')), never);
  await made.deliver(delivery(crlf('Content-Transfer-Encoding: base64\n\nA=BC'), { id: 'm-2' }), never);
  const text = await registry.metrics();
  assert.match(text, /sealpost_handoff_attempts_total\{kind="directory",result="done"\} 1/);
  assert.match(text, /sealpost_handoff_attempts_total\{kind="directory",result="refused"\} 1/);
  assert.match(text, /sealpost_handoff_seconds_count\{kind="directory"\} 2/);
});
