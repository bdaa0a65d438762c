/**
 * A request that changes something must come from a page of the console. It proves that twice: by its Origin and by a
 * token.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { refusal } from '../api/index.ts';
import type { Session } from '../user/index.ts';
import type { Form } from './form.ts';
import { type Html, html } from './html.ts';

export const csrfName = '_csrf';

/** The field for a form. */
export const csrfField = (csrf: string): Html => html`<input type="hidden" name=${csrfName} value=${csrf} />`;

const ownOrigin = ({ host = '' }: IncomingMessage['headers'], secure: boolean): string =>
  `${secure ? 'https' : 'http'}://${host}`.toLowerCase();

/**
 * Checks where a form comes from. Browsers say so; a program, or an old browser, does not.
 *
 * @param secure over TLS
 * @throws {SealpostError} `request-forged`
 */
export function checkOrigin({ headers }: IncomingMessage, secure: boolean): void {
  if (headers.origin?.toLowerCase() !== ownOrigin(headers, secure))
    throw refusal('request-forged', 'the request does not come from a page of the console');
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin')
    throw refusal('request-forged', 'the request comes from another site');
}

/**
 * Checks what led to a look that is noted under the reader's name: it must be a page of ours, or an address that was
 * typed. Browsers say which it is, and old ones name the page.
 *
 * @param secure over TLS
 * @throws {SealpostError} `request-forged`
 */
export function checkSite({ headers }: IncomingMessage, secure: boolean): void {
  const site = headers['sec-fetch-site'];
  if (site === 'same-origin' || site === 'none') return;
  const { referer } = headers;
  const isOurs =
    referer !== undefined && URL.canParse(referer) && new URL(referer).origin === ownOrigin(headers, secure);
  if (site !== undefined || !isOurs)
    throw refusal('request-forged', 'no page of the console led to this look');
}

/** Errors: `request-forged`. */
export function checkToken(form: Form, { csrf }: Session): void {
  const own = Buffer.from(csrf);
  const given = Buffer.from(form.get(csrfName));
  if (own.length !== given.length || !timingSafeEqual(own, given))
    throw refusal('request-forged', 'the form is not one of this login');
}
