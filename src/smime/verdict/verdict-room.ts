import { type Budget, costs } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';

/** Characters of one text, such as a name; those of people and programs have a few dozen. */
const longestText = 1000;
/** Entries of a list in a signer or recipient, such as addresses in a certificate. */
const longestList = 100;
/** Characters of all texts of a verdict. */
const mostText = 2 << 20;
/** Of a text when all of the room is used up: as long as a thumbprint. */
const shortText = 64;
/** Signatures, countersignatures among them: they are never left out, since the worst of them counts. */
const mostSignatures = 2000;

/**
 * The room that the verdict of one message has for what the sender wrote. Names and lists are repeated in it for each
 * signer and recipient, so that they would multiply: what does not fit is cut, ends with `…`, and the verdict says that
 * it was (`truncated`). The policy reads addresses here: who names none may sign for anybody who is no partner.
 */
export class VerdictRoom {
  readonly #budget: Budget;
  #left = mostText;
  #signatures = 0;
  truncated = false;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** True while another recipient that is none of ours may be listed. */
  get hasRoom(): boolean {
    return this.#left > 0;
  }

  /** Notes signatures that are about to be listed. Errors: `output-limit`. */
  signatures(count: number): void {
    this.#signatures += count;
    if (this.#signatures > mostSignatures) {
      throw new SealpostError('output-limit', `more than ${mostSignatures} signatures in one message`);
    }
  }

  /** An entry with its texts and lists cut to what there is room for. */
  fit<T>(entry: T): T {
    this.#budget.spend(costs.entry);
    return this.#fit(entry);
  }

  /** The same value where nothing had to be cut, which is nearly always. */
  #fit<T>(value: T): T;
  #fit(value: unknown): unknown {
    if (typeof value === 'string') return this.#text(value);
    if (typeof value !== 'object' || value === null) return value;
    return Array.isArray(value) ? this.#list(value) : this.#entry(value as Readonly<Record<string, unknown>>);
  }

  /** Without a list of its keys and values, which would cost more than looking at them. */
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
    // a list of names that was cut must not pass for one that is complete, or empty
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
