/** Whether a client may call an operation. The door for programs and the console both ask here. */
import type { Client, Verb } from '../client/index.ts';
import { refusal } from './problem.ts';
import type { Route } from './route.ts';

/** Acts that cannot be undone, that show the content of a message, or that decide who may do such things. */
const graveVerbs: ReadonlySet<string> = new Set<Verb>([
  'content',
  'replay',
  'decode-again',
  'terminate',
  'approve',
  'users',
  'clients',
]);

export function isGrave({ grave, grant }: Pick<Route, 'grave' | 'grant'>): boolean {
  return grave ?? graveVerbs.has(grant);
}

/** Errors: `not-granted`. */
export function checkGrant({ grant }: Pick<Route, 'grant'>, client: Client): void {
  if (grant !== 'token' && !client.may(grant))
    throw refusal('not-granted', `client ${client.name} is not granted ${grant}`);
}

/**
 * Refuses acts that a second person has to confirm: no token may do them, and nobody may confirm their own.
 *
 * @param fourEyes `console.fourEyes`
 * @throws {SealpostError} `second-person-needed`
 */
export function checkSecond(
  route: Pick<Route, 'grave' | 'grant' | 'method' | 'name'>,
  fourEyes: boolean,
  byTwo: boolean,
): void {
  if (fourEyes && !byTwo && route.method === 'POST' && isGrave(route))
    throw refusal('second-person-needed', `${route.name} needs two persons, who confirm it in the console`);
}
