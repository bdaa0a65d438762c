/** The query of a request, read strictly and before any body. */
import { refusal } from './problem.ts';

/**
 * Names under which programs put secrets into URLs, which end up in the logs of proxies and the history of browsers.
 */
const secretNames =
  /^(?:access_?token|token|api_?key|apikey|auth|authorization|bearer|password|secret|key)$/i;
const credential = /sealpost_[0-9A-Za-z]{10}_/;

/**
 * Refuses a URL with a secret or with a parameter that is written twice. Says nothing of the values.
 *
 * @param url path and query, as they came
 * @throws {SealpostError} `request-invalid`
 */
export function checkUrl(url: string): void {
  let plain = url;
  try {
    plain = decodeURIComponent(url.replaceAll('+', ' '));
  } catch {
    throw refusal('request-invalid', 'the URL has a percent sign that encodes nothing');
  }
  const question = url.indexOf('?');
  const names = question < 0 ? [] : [...new URLSearchParams(url.slice(question + 1)).keys()];
  if (credential.test(plain) || names.some((name) => secretNames.test(name)))
    throw refusal(
      'request-invalid',
      'the URL contains a secret, which is refused; revoke it if it is a token of yours',
      'send the token in the field Authorization: Bearer TOKEN',
    );
  if (new Set(names).size < names.length)
    throw refusal('request-invalid', 'a parameter of the query is repeated', 'write each parameter once');
}

/** The query without repetitions, for fastify. */
export function parseQuery(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}
