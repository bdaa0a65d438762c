/** What a webhook gets from `sealpost check --online`: signed as any other, and no message. */
import { randomUUID } from 'node:crypto';

const about = 'sealpost check --online: nothing has arrived; answer with a 2xx if the signature is right';

export interface TestDocument {
  body: Buffer;
  idempotencyKey: string;
  headers: Record<string, string>;
}

/** @param more further fields */
export function testDocument(more: Record<string, string> = {}): TestDocument {
  const idempotencyKey = `sealpost-test-${randomUUID()}`;
  const body = Buffer.from(JSON.stringify({ test: true, idempotencyKey, ...more, about }));
  return { body, idempotencyKey, headers: { 'Sealpost-Test': 'true' } };
}
