/**
 * Hold and replay: what was suspended because a certificate or key was missing, and what puts it back to work. Begin
 * with `replay.ts`; `watch.ts` does it by itself. Which reason codes wait is a column of the table of errors.
 */
export { type ReplayedMessage, type ReplayOptions, type ReplayParts, replayMessages } from './replay.ts';
export { ReplayWatch, type ReplayWatchParts, standingsOf } from './watch.ts';
