/** The alerts in force, for everybody who asks: command, API and console. */
import type { AlertBook, Looked } from './book.ts';
import { silenceOf } from './silences.ts';
import type { AlertState, ChannelState, Silence } from './types.ts';

export interface ListedAlert extends AlertState {
  /** Id of the silence that covers it. */
  silencedBy: string | null;
}

export interface AlertList {
  /** The most serious first, and among these the oldest. */
  alerts: ListedAlert[];
  silences: Silence[];
  channels: ChannelState[];
  /** Null: the rules have not been evaluated yet. */
  looked: Looked | null;
}

const order = { critical: 0, warning: 1, info: 2 } as const;

/** Errors: `redis-unreachable`. */
export async function listAlerts(book: AlertBook, now: number): Promise<AlertList> {
  const [states, silences, channels, looked] = await Promise.all([
    book.states(),
    book.silences(now),
    book.channels(),
    book.looked(),
  ]);
  const alerts = [...states.values()]
    .map((state) => ({ ...state, silencedBy: silenceOf(state, silences)?.id ?? null }))
    .sort(
      (a, b) =>
        Number(b.state === 'firing') - Number(a.state === 'firing') ||
        order[a.severity] - order[b.severity] ||
        a.since - b.since,
    );
  return { alerts, silences, channels, looked };
}

/** Has all channels announce a test. Returns its place. Errors: `redis-unreachable`. */
export async function tellTest(book: AlertBook, by: string, now: number): Promise<string> {
  return await book.tell('test', now, {
    ...{ id: 'test', rule: 'test', condition: 'trouble', severity: 'info', labels: {}, value: 0 },
    ...{ text: `a test by ${by}`, hint: null, state: 'firing', since: now, firedAt: now },
  });
}
