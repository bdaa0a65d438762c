/** A small JSON body, for acts. */
import type { z } from 'zod';
import { type BodyRules, bodyOf, wholeBody } from './body.ts';
import { parseJson } from './json.ts';
import { refusal } from './problem.ts';
import { type Call, checked } from './route.ts';

const largest = 128 * 1024;

/**
 * The body in the form of the schema; `{}` if there is none.
 *
 * @param most octets
 * @throws {SealpostError} `media-type-unsupported`, `request-invalid`, and those of `bodyOf`
 */
export async function jsonBody<S extends z.ZodType>(
  { request, response, given }: Pick<Call, 'request' | 'response' | 'given'>,
  schema: S,
  rules: BodyRules,
  most = largest,
): Promise<z.output<S>> {
  if (given) return checked(schema, given.json, 'the body');
  const octets = await wholeBody(bodyOf(request, response, most, rules), () => undefined);
  const type = request.headers['content-type'] ?? '';
  if (octets.length > 0 && !/^application\/json\b/i.test(type))
    throw refusal('media-type-unsupported', 'the body is not application/json');
  return checked(schema, octets.length === 0 ? {} : parseJson(octets), 'the body');
}
