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
  #running = false;
  readonly #check: () => Promise<Problem[]>;
  readonly #roles: readonly string[];

  /** @param check of the files that these roles read, in a process of its own */
  constructor(check: () => Promise<Problem[]>, roles: readonly string[]) {
    this.#check = check;
    this.#roles = roles;
  }

  /** Undefined for what another process has told already, and while a check runs. Does not throw. */
  async answer(id: string): Promise<CheckAnswer | undefined> {
    if (id === this.#last || this.#running) return undefined;
    this.#last = id;
    this.#running = true;
    try {
      const problems = await this.#check();
      return this.#answerOf(problems, null);
    } catch (error) {
      return this.#answerOf([], toErrorInfo(error).message.slice(0, longest));
    } finally {
      this.#running = false;
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
