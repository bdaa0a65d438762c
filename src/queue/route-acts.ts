/**
 * What people do with mailboxes and routes, at the command line or through the API. The audit trail gets each act
 * before it is done.
 */
import { SealpostError } from '../errors.ts';
import type { AuditEntry } from './audit-types.ts';
import type { QueueRoom } from './open.ts';
import type { RouteKind } from './route-types.ts';

/** A mailbox or route: how it is stored, and how people write it. */
export interface RouteRef {
  kind: RouteKind;
  /** As in its jobs (`routeOf`). */
  name: string;
  /** `MAILBOX/NAME` for a destination. */
  shown: string;
}

/** Who did it, and why. */
interface Actor {
  by: string;
  why?: string | undefined;
}

type Parts = Pick<QueueRoom, 'routes' | 'audit'>;

async function note(
  { audit }: Parts,
  what: AuditEntry['what'],
  { shown }: RouteRef,
  { by, why }: Actor,
): Promise<number> {
  const at = Date.now();
  await audit.add({ at, by, what, subject: shown, ...(why !== undefined && { why }) });
  return at;
}

function wrong(what: string): SealpostError {
  return new SealpostError('route-state', what);
}

/** Nothing is taken for the mailbox, or sent by the route, until it is resumed. Errors: `route-state`. */
export async function pauseRoute(parts: Parts, ref: RouteRef, actor: Actor): Promise<void> {
  const { kind, name, shown } = ref;
  const [paused] = await parts.routes.paused(kind, [name]);
  if (paused) throw wrong(`${shown} is paused already, by ${paused.by}`);
  const at = await note(parts, kind === 'mailbox' ? 'mailbox-pause' : 'route-pause', ref, actor);
  await parts.routes.pause(kind, name, { by: actor.by, at, why: actor.why ?? '' });
}

/** Errors: `route-state`. */
export async function resumeRoute(parts: Parts, ref: RouteRef, actor: Actor): Promise<void> {
  const { kind, name, shown } = ref;
  const [paused] = await parts.routes.paused(kind, [name]);
  if (!paused) throw wrong(`${shown} is not paused`);
  await note(parts, kind === 'mailbox' ? 'mailbox-resume' : 'route-resume', ref, actor);
  await parts.routes.resume(kind, name);
}

/** Whoever reads the folder of the mailbox looks into it now. */
export async function pollMailbox(parts: Parts, mailbox: string, actor: Actor): Promise<void> {
  await note(parts, 'mailbox-poll', { kind: 'mailbox', name: mailbox, shown: mailbox }, actor);
  await parts.routes.poll(mailbox);
}
