/** The cookies of the console. `__Host-` binds them to this host and to https: no other host or path can set them. */
import type { IncomingMessage } from 'node:http';

/** `session`: the login. `device`: this browser has logged in before. `oidc`: a login at the provider is under way. */
const names = {
  session: '__Host-sealpost',
  device: '__Host-sealpost-browser',
  oidc: '__Host-sealpost-oidc',
} as const;
export type CookieName = keyof typeof names;

/** Octets; browsers send 4096 for a cookie at most. */
const longest = 4096;

/** The value of a cookie; '' if there is none, or if there are several of that name. */
export function cookieOf({ headers }: IncomingMessage, name: CookieName): string {
  const wanted = `${names[name]}=`;
  const found = (headers.cookie ?? '')
    .split(';')
    .map((each) => each.trim())
    .filter((each) => each.startsWith(wanted));
  const [only = ''] = found;
  return found.length === 1 && only.length <= longest ? only.slice(wanted.length) : '';
}

/** @param seconds that the browser keeps it; undefined: until the browser ends */
export function setCookie(name: CookieName, value: string, seconds?: number): string {
  const age = seconds === undefined ? '' : `; Max-Age=${seconds}`;
  return `${names[name]}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax${age}`;
}

export const dropCookie = (name: CookieName) => setCookie(name, '', 0);
