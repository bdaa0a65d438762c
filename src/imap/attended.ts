/** What people see of mailboxes that are fetched, and what they can do with them. */
import type { Routes } from '../queue/index.ts';
import type { ImapPoller } from './poller.ts';

/** Milliseconds between looks at the pollers, and after which an unchanged state is written again. */
const lookEvery = 2000;
const saidAgain = 30_000;

export interface Attended {
  mailbox: string;
  poller: Pick<ImapPoller, 'hurry' | 'status'>;
}

type Part = Pick<Routes, 'isPaused' | 'onChange' | 'takePoll' | 'noteFolder'>;

/**
 * Polls at once if a person asks for it, wakes what was paused or resumed, and records the state of each folder.
 *
 * @param onFailure called if the state could not be written; it is written again soon
 * @returns ends it
 */
export function attendPollers(
  pollers: readonly Attended[],
  routes: Part,
  onFailure: (error: unknown) => void,
): () => void {
  const paused = new Map(pollers.map(({ mailbox }) => [mailbox, routes.isPaused('mailbox', mailbox)]));
  routes.onChange(() => {
    for (const { mailbox, poller } of pollers) {
      const now = routes.isPaused('mailbox', mailbox);
      const changed = now !== paused.get(mailbox);
      paused.set(mailbox, now);
      if (routes.takePoll(mailbox) || changed) poller.hurry();
    }
  });
  const said = new Map<string, { text: string; at: number }>();
  const look = async () => {
    for (const { mailbox, poller } of pollers) {
      const { state, lastScan, failingSince, lastError, dialogue } = poller.status();
      // another process has the folder, and reports its state
      if (state === 'standby' || state === 'stopped') continue;
      const text = JSON.stringify([state, failingSince, lastError]);
      const before = said.get(mailbox);
      const now = performance.now();
      if (before?.text === text && now - before.at < saidAgain) continue;
      said.set(mailbox, { text, at: now });
      const noted = { state, lastScan, failingSince, lastError, dialogue: [...dialogue] };
      await routes.noteFolder(mailbox, noted);
    }
  };
  const timer = setInterval(() => void look().catch(onFailure), lookEvery).unref();
  return () => clearInterval(timer);
}
