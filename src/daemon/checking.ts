/** The supervisor's part of a check on demand: once for each wish, and one at a time. */
import { hostname } from 'node:os';
import type { Problem } from '../config/index.ts';
import { toErrorInfo } from '../errors.ts';
import type { CheckAnswer } from './check-types.ts';

/** Problems of one answer, and characters of a text in it. */
const mostProblems = 200;
const longest = 1000;

export class Checking {
  #last = '';
  #running: Promise<unknown> = Promise.resolve();
  readonly #check: () => Promise<Problem[]>;
  readonly #roles: readonly string[];

  /** @param check of the files that these roles read, in a process of its own */
  constructor(check: () => Promise<Problem[]>, roles: readonly string[]) {
    this.#check = check;
    this.#roles = roles;
  }

  /**
   * Undefined for what another process has told already. A wish that comes while a check runs is answered by the next
   * one, since files may have changed; undefined if still another one comes meanwhile. Does not throw.
   */
  async answer(id: string): Promise<CheckAnswer | undefined> {
    if (id === this.#last) return undefined;
    this.#last = id;
    const before = this.#running;
    const own = before.then(() => (this.#last === id ? this.#answer() : undefined));
    this.#running = own;
    return await own;
  }

  async #answer(): Promise<CheckAnswer> {
    try {
      return this.#answerOf(await this.#check(), null);
    } catch (error) {
      return this.#answerOf([], toErrorInfo(error).message.slice(0, longest));
    }
  }

  #answerOf(problems: readonly Problem[], error: string | null): CheckAnswer {
    const shown = problems.slice(0, mostProblems);
    return {
      ...{ host: hostname(), roles: [...this.#roles], at: Date.now(), error },
      problems: shown.map(({ severity, file, line, setting, message, hint }) => ({
        ...{ severity, file, line, setting },
        message: message.slice(0, longest),
        ...(hint !== undefined && { hint: hint.slice(0, longest) }),
      })),
      more: problems.length - shown.length,
    };
  }
}
