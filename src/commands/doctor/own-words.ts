/** Lines of the log, reduced to what is ours: the words of the program, its codes, and places in its source. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { roleNames } from '../../daemon/index.ts';
import { isErrorCode } from '../../errors.ts';
import { isLogRoom } from '../../log.ts';

/** Folder of `src` and `workers`, as TypeScript or compiled. */
const top = join(import.meta.dirname, '../../..');

const literal = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"/g;

/** Texts that stand in the source of the program as they are. */
function ownTexts(): ReadonlySet<string> {
  const texts = new Set<string>();
  for (const folder of ['src', 'workers'])
    for (const name of readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' }))
      if (/\.[jt]s$/.test(name) && !name.endsWith('.d.ts'))
        for (const [, single, double] of readFileSync(join(top, folder, name), 'utf8').matchAll(literal))
          texts.add((single ?? double ?? '').replaceAll(/\\(['"\\])/g, '$1'));
  return texts;
}

let known: ReadonlySet<string> | undefined;

/** The text, if it is one of ours. */
export function ownText(text: unknown): string | null {
  known ??= ownTexts();
  return typeof text === 'string' && known.has(text) ? text : null;
}

/** Such as `src/queue/flow.ts:12:3`; null for a place that is not in our source. */
function placeOf(at: unknown): string | null {
  const [, file = '', where = ''] = /((?:src|workers)\/[\w/.-]+\.[jt]s)(:\d+:\d+)/.exec(String(at)) ?? [];
  return file !== '' && !file.includes('..') && existsSync(join(top, file)) ? `${file}${where}` : null;
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
