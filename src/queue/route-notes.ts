/** What attempts show of routes, for whoever looks at them. */
import { routeOf } from './jobs.ts';
import type { Routes } from './route-types.ts';
import type { Jobs, Outcome, QueueName } from './types.ts';

/** The kind of the routes of a queue; undefined where a person can pause none. */
export function kindOf(queue: QueueName): 'partner' | 'destination' | undefined {
  if (queue === 'outbound') return 'partner';
  return queue === 'handoff' ? 'destination' : undefined;
}

export function noteAttempt<N extends QueueName>(
  routes: Routes,
  queue: N,
  data: Jobs[N],
  outcome: Outcome,
): void {
  const kind = kindOf(queue);
  if (kind === undefined) return;
  const route = routeOf(queue, data);
  if ('done' in outcome || outcome.peer === 'works') routes.succeeded(kind, route);
  if ('done' in outcome || outcome.peer === undefined) return;
  const code = 'retry' in outcome ? outcome.retry : outcome.suspend;
  routes.failed(kind, route, { code, down: outcome.peer === 'down', facts: outcome.facts ?? {} });
}
