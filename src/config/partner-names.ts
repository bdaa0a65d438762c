/**
 * Partners by name. Everything in Redis about a partner (its mail, its records, the state of its route) is kept under
 * its first name, even after it was renamed. So nothing has to be moved, and what waits keeps its order.
 */

interface Named {
  readonly name: string;
  readonly formerNames: readonly string[];
  /** As configured. */
  readonly addresses?: readonly string[];
}

/** The name under which the mail, the records and the state of a partner are kept. */
export const partnerKey = ({ name, formerNames }: Named): string => formerNames[0] ?? name;

/** From any name of a partner to its present name and its key. Case is ignored. */
export class PartnerNames {
  readonly #partners: readonly Named[];
  readonly #byName = new Map<string, Named>();
  /** By their present names. */
  #all: ReadonlyMap<string, Named> | undefined;

  constructor(partners: readonly Named[]) {
    this.#partners = partners;
    // the others are kept under their present name
    for (const each of partners.filter(({ formerNames }) => formerNames.length > 0))
      for (const name of [each.name, ...each.formerNames]) this.#byName.set(name.toLowerCase(), each);
  }

  /** The present name of a partner. A name that belongs to nobody stays as it is. */
  present(name: string): string {
    return this.#byName.get(name.toLowerCase())?.name ?? name;
  }

  /** The key of a partner, from any of its names. A name that belongs to nobody stays as it is. */
  key(name: string): string {
    const found = this.#byName.get(name.toLowerCase());
    return found === undefined ? name : partnerKey(found);
  }

  /** The addresses of a partner by any of its names; undefined for a name that is nobody's. */
  addresses(name: string): readonly string[] | undefined {
    this.#all ??= new Map(this.#partners.map((each) => [each.name.toLowerCase(), each]));
    return this.#all.get(this.present(name).toLowerCase())?.addresses;
  }
}
