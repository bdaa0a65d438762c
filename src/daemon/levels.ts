/** Levels of the log that are changed while the daemon runs, as they are written and shown. */
import { SealpostError } from '../errors.ts';
import { isLogLevel, isLogRoom, type LevelChanges, type LogLevel, logLevels, logRooms } from '../log.ts';

/**
 * Levels after some changes: `smtp=debug,imap=trace`, `debug` or `all=debug` for all rooms, `smtp=default` for what is
 * configured again, and `default` for that everywhere. Errors: `usage`.
 */
export function changedLevels(before: LevelChanges, changes: string): LevelChanges {
  let after: LevelChanges = before;
  for (const change of changes.split(/[\s,]+/).filter(Boolean)) {
    const [room = '', level = ''] = change.includes('=') ? change.split('=', 2) : ['all', change];
    if (room !== 'all' && !isLogRoom(room))
      throw new SealpostError('usage', `the log has no room ${JSON.stringify(room)}`, {
        hint: `rooms are all, ${logRooms.join(', ')}`,
      });
    if (level !== 'default' && !isLogLevel(level))
      throw new SealpostError('usage', `the log has no level ${JSON.stringify(level)}`, {
        hint: `levels are default, ${logLevels.join(', ')}`,
      });
    if (room === 'all' && level === 'default') after = {};
    else {
      const { [room]: _, ...others } = after;
      after = level === 'default' ? others : { ...others, [room]: level };
    }
  }
  return after;
}

/** A line for each room, with its level and whether it was changed. */
export function levelLines(configured: LogLevel, levels: LevelChanges): string {
  const line = (name: string, level: LogLevel, changed: boolean) =>
    `${name.padEnd(10)} ${level.padEnd(6)}${changed ? ' changed' : ''}`.trimEnd();
  const all = levels.all ?? configured;
  return [
    line('all', all, levels.all !== undefined),
    ...logRooms.map((room) => line(room, levels[room] ?? all, levels[room] !== undefined)),
  ].join('\n');
}
