/** Lines of the log, reduced to what is ours: the words of the program, its codes, and places in its source. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { roleNames } from '../../daemon/index.ts';
import { isErrorCode } from '../../errors.ts';
import { isLogRoom } from '../../log.ts';

/** Folder of `src` and `workers`, as TypeScript or compiled. */
const top = join(import.meta.dirname, '../../..');

function ownSource(): string {
  const texts: string[] = [];
  for (const folder of ['src', 'workers'])
    for (const name of readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' }))
      if ((name.endsWith('.ts') || name.endsWith('.js')) && !name.endsWith('.d.ts'))
        texts.push(readFileSync(join(top, folder, name), 'utf8'));
  return texts.join('\n');
}

let source: string | undefined;

/** The text, if it stands in the source of the program as it is, in quotes. */
export function ownText(text: unknown): string | null {
  if (typeof text !== 'string' || text === '' || text.includes('\n')) return null;
  source ??= ownSource();
  const found = [`'${text.replaceAll("'", "\\'")}'`, `"${text}"`].some((each) => source?.includes(each));
  return found ? text : null;
}

/** Such as `src/queue/flow.ts:12:3`; null for a place that is not in our source. */
function placeOf(at: unknown): string | null {
  const text = String(at);
  for (const folder of ['src/', 'workers/']) {
    const [place = '', file = ''] = /^([\w/.-]+):\d+:\d+/.exec(text.slice(text.lastIndexOf(folder))) ?? [];
    if (file.startsWith(folder) && !file.includes('..') && existsSync(join(top, file))) return place;
  }
  return null;
}

const errorTypes = ['Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'AggregateError'];

const codeOf = (code: unknown) => (typeof code === 'string' && isErrorCode(code) ? code : null);

function errorOf(error: unknown): object | null {
  if (typeof error !== 'object' || error === null) return null;
  const { code, type, at, cause }: Record<string, unknown> = { ...error };
  return {
    code: codeOf(code),
    // of the system: ECONNREFUSED and the like
    system: typeof code === 'string' && /^E[A-Z]{3,20}$/.test(code) && isSystemCode(code) ? code : null,
    type: errorTypes.find((each) => each === type) ?? null,
    at: placeOf(at),
    ...(cause !== undefined && { cause: errorOf(cause) }),
  };
}

const systemCodes = [
  ...['EACCES', 'EADDRINUSE', 'EADDRNOTAVAIL', 'EAGAIN', 'EBADF', 'EBUSY', 'ECONNABORTED', 'ECONNREFUSED'],
  ...['ECONNRESET', 'EEXIST', 'EHOSTUNREACH', 'EINVAL', 'EIO', 'EISDIR', 'ELOOP', 'EMFILE', 'ENETUNREACH'],
  ...['ENFILE', 'ENOENT', 'ENOMEM', 'ENOSPC', 'ENOTDIR', 'ENOTFOUND', 'EPERM', 'EPIPE', 'EPROTO', 'EROFS'],
  ...['ESTALE', 'ETIMEDOUT'],
];
const isSystemCode = (code: string) => systemCodes.includes(code);

/** @param at milliseconds since the epoch */
export function ownPartOf(at: number, fields: Record<string, unknown>): object {
  const { level, role, room, msg, err, reason, code, more, attempt } = fields;
  const number = (value: unknown) => (typeof value === 'number' ? value : undefined);
  return {
    at: new Date(at).toISOString(),
    level: number(level) ?? null,
    role: [...roleNames, 'supervisor'].find((each) => each === role) ?? null,
    ...(typeof room === 'string' && isLogRoom(room) && { room }),
    msg: ownText(msg),
    ...(codeOf(reason ?? code) !== null && { reason: codeOf(reason ?? code) }),
    ...(number(more) !== undefined && { more }),
    ...(number(attempt) !== undefined && { attempt }),
    ...(err !== undefined && { err: errorOf(err) }),
  };
}
