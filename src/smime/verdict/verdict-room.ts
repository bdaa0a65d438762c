import { type Budget, costs } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';

/** Longest text, such as a name, in characters. Real ones have a few dozen. */
const longestText = 1000;
/** Entries of a list in a signer or recipient, such as addresses in a certificate. */
const longestList = 100;
/** Characters of all texts in a verdict together. */
const mostText = 2 << 20;
/** Characters of each text once the room is used up: as long as a thumbprint. */
const shortText = 64;
/** Signatures, countersignatures included. None is ever left out, because the worst of them counts. */
const mostSignatures = 2000;

/**
 * The room that a verdict has for text from the sender. Names and lists are repeated for each signer and recipient, so
 * they would multiply. What does not fit is cut and ends with `…`, and the verdict says so (`truncated`). The policy
 * reads addresses here: a certificate without any may sign for anybody who is not a partner.
 */
export class VerdictRoom {
  readonly #budget: Budget;
  #left = mostText;
  #signatures = 0;
  truncated = false;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** True while there is room for another recipient that is not ours. */
  get hasRoom(): boolean {
    return this.#left > 0;
  }

  /** Counts signatures before they are listed. Errors: `output-limit`. */
  signatures(count: number): void {
    this.#signatures += count;
    if (this.#signatures > mostSignatures) {
      throw new SealpostError('output-limit', `more than ${mostSignatures} signatures in one message`);
    }
  }

  /** An entry whose texts and lists are cut to the room that is left. */
  fit<T>(entry: T): T {
    this.#budget.spend(costs.entry);
    return this.#fit(entry);
  }

  /** The same object if nothing had to be cut, which is nearly always the case. */
  #fit<T>(value: T): T;
  #fit(value: unknown): unknown {
    if (typeof value === 'string') return this.#text(value);
    if (typeof value !== 'object' || value === null) return value;
    return Array.isArray(value) ? this.#list(value) : this.#entry(value as Readonly<Record<string, unknown>>);
  }

  /** Without listing keys and values first, which would cost more than the check itself. */
  #entry(entry: Readonly<Record<string, unknown>>): unknown {
    let cut: Record<string, unknown> | undefined;
    for (const key in entry) {
      const each = entry[key];
      const fitted = this.#fit(each);
      if (fitted === each) continue;
      cut ??= { ...entry };
      cut[key] = fitted;
    }
    return cut ?? entry;
  }

  #list(list: unknown[]): unknown[] {
    const most = this.#left > 0 ? longestList : 0;
    if (list.length <= most) {
      const fitted = list.map((each) => this.#fit(each));
      return fitted.every((each, at) => each === list[at]) ? list : fitted;
    }
    this.truncated = true;
    const kept = list.slice(0, most).map((each) => this.#fit(each));
    // a list that was cut must not look like a complete or an empty one
    return typeof list[0] === 'string' ? [...kept, '…'] : kept;
  }

  #text(text: string): string {
    const most = this.#left > 0 ? longestText : shortText;
    this.#left -= Math.min(text.length, most);
    if (text.length <= most) return text;
    this.truncated = true;
    return `${text.slice(0, most)}…`;
  }
}
