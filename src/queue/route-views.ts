/** Mailboxes and routes as people see them: settings, what is paused, and what was seen of each. */
import type { Config } from '../config/index.ts';
import type { ConfiguredRoute } from './route-refs.ts';
import type { FolderState, Paused, RouteState, Routes } from './route-types.ts';

export interface RouteView extends ConfiguredRoute, RouteState {
  state: 'works' | 'failing' | 'paused' | 'unknown';
  paused: Paused | null;
}

export interface MailboxView {
  mailbox: Config['mailboxes'][number];
  state: 'smtp' | 'connecting' | 'reading' | 'idle' | 'full' | 'failing' | 'paused' | 'unknown';
  paused: Paused | null;
  /** As its poller reported; null if it is not fetched, or if no poller has reported yet. */
  folder: FolderState | null;
}

/** Milliseconds after which a silent poller counts as ended. */
const silentAfter = 90_000;

export async function viewRoutes(
  routes: Pick<Routes, 'paused' | 'states'>,
  wanted: readonly ConfiguredRoute[],
): Promise<RouteView[]> {
  const views = new Map<ConfiguredRoute, RouteView>();
  for (const kind of ['partner', 'destination'] as const) {
    const these = wanted.filter((each) => each.kind === kind);
    const names = these.map(({ name }) => name);
    const [paused, states] = await Promise.all([routes.paused(kind, names), routes.states(kind, names)]);
    for (const [at, route] of these.entries()) {
      const state = states[at] ?? { ok: null, failure: null, downSince: null, inLine: 0 };
      views.set(route, { ...route, ...state, paused: paused[at] ?? null, state: stateOf(state, paused[at]) });
    }
  }
  return wanted.flatMap((route) => views.get(route) ?? []);
}

function stateOf({ ok, failure, downSince }: RouteState, paused: Paused | undefined): RouteView['state'] {
  if (paused) return 'paused';
  if (downSince !== null) return 'failing';
  return ok === null && failure === null ? 'unknown' : 'works';
}

export async function viewMailboxes(
  routes: Pick<Routes, 'paused' | 'folders'>,
  mailboxes: Config['mailboxes'],
  now: number,
): Promise<MailboxView[]> {
  const names = mailboxes.map(({ name }) => name);
  const [paused, folders] = await Promise.all([routes.paused('mailbox', names), routes.folders(names)]);
  return mailboxes.map((mailbox, at) => {
    const folder = mailbox.imap ? (folders[at] ?? null) : null;
    return {
      ...{ mailbox, folder, paused: paused[at] ?? null },
      state: paused[at] ? 'paused' : mailbox.imap ? folderState(folder, now) : 'smtp',
    };
  });
}

function folderState(folder: FolderState | null, now: number): MailboxView['state'] {
  if (folder === null || now - folder.at > silentAfter) return 'unknown';
  if (folder.failingSince !== null) return 'failing';
  switch (folder.state) {
    case 'connecting':
    case 'reading':
    case 'idle':
      return folder.state;
    case 'paused':
      return 'full';
    default:
      return 'unknown';
  }
}
