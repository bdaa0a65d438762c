/** The verdict of a message, as far as a client may see it. */
import type { Client } from '../client/index.ts';
import { SealpostError } from '../errors.ts';
import { readStoredContent } from '../pipeline/index.ts';
import { type QueueRoom, verdictsOf } from '../queue/index.ts';
import type { Verdict } from '../smime/index.ts';

/** What the answer has; in the OpenAPI document the verdict is an object, whose schema is a file of its own. */
export interface MessageVerdict {
  verdict: Verdict;
  headersShown: boolean;
}

/** Errors: `original-gone` when nothing decoded is kept. */
export async function verdictOf(
  queue: Pick<QueueRoom, 'flow' | 'spool' | 'redis' | 'prefix' | 'seal' | 'unseal'>,
  client: Client,
  id: string,
): Promise<{ verdict: object; headersShown: boolean }> {
  const stored = await readStoredContent(id, queue);
  const verdict = stored?.verdict ?? (await verdictsOf(queue).get(id));
  if (verdict === undefined)
    throw new SealpostError('original-gone', `nothing decoded of ${id} is kept`, {
      hint: 'a verdict is kept until the message was handed off everywhere, or has ended',
    });
  if (typeof verdict !== 'object' || verdict === null || Array.isArray(verdict))
    throw new SealpostError('internal', `the verdict of ${id} is none`);
  if (client.may('content')) return { verdict, headersShown: true };
  const headers = 'headers' in verdict ? verdict.headers : undefined;
  const bare =
    typeof headers === 'object' && headers !== null ? { ...headers, fields: [], differences: [] } : {};
  return { verdict: { ...verdict, headers: bare }, headersShown: false };
}
