/** Whether a client may call an operation: asked in one place, by the door for programs and by the console. */
import type { Client, Verb } from '../client/index.ts';
import { refusal } from './problem.ts';
import type { Route } from './route.ts';

/** What cannot be taken back, shows what is written in a message, or decides who may do such. */
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
 * What a second person has to confirm, nobody does alone: no token, and no person twice.
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
