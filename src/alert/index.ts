/**
 * Alerts: what needs a person, and when it is back to normal. The rules are data (`config/alert-conditions.ts`); begin
 * with `judge.ts`, which decides, then `measures.ts`, `evaluator.ts` and `courier.ts`. What looks after them is loaded
 * by the one process that does.
 */
import { alertRoleOf } from '../config/alert-rules.ts';
import type { Alerts, AlertsParts } from './start.ts';

/** Begins to look after alerts, if that is up to this role; otherwise nothing is loaded, and there is nothing. */
export async function alertsFor(role: 'handoff' | 'outbound', parts: AlertsParts): Promise<Alerts> {
  if (!parts.config.alerts.enabled || alertRoleOf(parts.config) !== role) return none;
  const start = await import('./start.ts');
  return await start.startAlerts(parts);
}

const none: Alerts = { troubles: () => [], stop: async () => undefined };

export { AlertBook, isBefore, type Looked } from './book.ts';
export { type AlertList, type ListedAlert, listAlerts, tellTest } from './list.ts';
export { matchText, silenceAlerts, unsilenceAlerts } from './silences.ts';
export type { AlertMailer, Alerts, AlertsParts } from './start.ts';
export { changeDocument } from './text.ts';
export type { AlertChange, AlertState, ChannelState, Labels, Silence, SilenceMatch } from './types.ts';
