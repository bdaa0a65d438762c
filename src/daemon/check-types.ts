/** A check on demand: what is asked, and what a supervisor answers. */
import type { Problem } from '../config/index.ts';

export interface CheckAsked {
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
  by: string;
}

/** What one supervisor found. It holds no secrets, as problems do not. */
export interface CheckAnswer {
  host: string;
  /** Whose files were checked. */
  roles: string[];
  /** Milliseconds since the epoch. */
  at: number;
  problems: Pick<Problem, 'severity' | 'file' | 'line' | 'setting' | 'message' | 'hint'>[];
  /** How many further ones there are. */
  more: number;
  /** Why nothing could be checked. */
  error: string | null;
}

export function isAnswer(value: unknown): value is CheckAnswer {
  return (
    typeof value === 'object' && value !== null && 'host' in value && 'roles' in value && 'problems' in value
  );
}
