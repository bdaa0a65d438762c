/**
 * Partners by name. One that was renamed keeps the key under which its mail, its records and the state of its route are
 * kept in Redis: its first name. So nothing is moved when it gets another one, and what waits keeps its order.
 */

interface Named {
  readonly name: string;
  readonly formerNames: readonly string[];
}

/** What the mail, the records and the state of a partner are kept under. */
export const partnerKey = ({ name, formerNames }: Named): string => formerNames[0] ?? name;

/** From any name of a partner to the present one and to its key, without regard to case. */
export class PartnerNames {
  readonly #byName = new Map<string, Named>();

  constructor(partners: readonly Named[]) {
    // others are what they are called
    for (const each of partners.filter(({ formerNames }) => formerNames.length > 0))
      for (const name of [each.name, ...each.formerNames]) this.#byName.set(name.toLowerCase(), each);
  }

  /** The present name of a partner; a name that is nobody's stays as it is. */
  present(name: string): string {
    return this.#byName.get(name.toLowerCase())?.name ?? name;
  }

  /** The key of a partner by any of its names; a name that is nobody's stays as it is. */
  key(name: string): string {
    const found = this.#byName.get(name.toLowerCase());
    return found === undefined ? name : partnerKey(found);
  }
}
