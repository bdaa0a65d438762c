/**
 * Alerts: what needs a person, and when it is back to normal. The rules are data (`config/alert-conditions.ts`). Begin
 * with `judge.ts`, which decides, then read `measures.ts`, `evaluator.ts` and `courier.ts`. Only the process that
 * evaluates the rules loads them.
 */
import { alertRoleOf } from '../config/alert-rules.ts';
import type { Alerts, AlertsParts } from './start.ts';

/** Starts evaluating alerts if this role has to. Otherwise nothing is loaded. */
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
