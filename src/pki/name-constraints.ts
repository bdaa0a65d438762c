import { Cursor, content, oids, parse, tags } from '../asn1/index.ts';
import { type Budget, costs } from '../budget.ts';
import { type Domain, isBelow, smallLetters, toDomain } from '../domain.ts';
import type { Certificate } from './certificate.ts';
import { type GeneralName, readGeneralName } from './general-name.ts';
import { malformedCertificate, reading } from './malformed.ts';
import { attributeValues, isEmptyName, isWithin } from './name.ts';

/** The kinds of names whose constraints are understood. */
type Kind = 'email' | 'dns' | 'uri' | 'directory' | 'ip' | 'other';

/** `NameConstraints ::= SEQUENCE { permittedSubtrees [0], excludedSubtrees [1] }` (RFC 5280 section 4.2.1.10) */
export interface NameConstraints {
  permitted: GeneralName[];
  excluded: GeneralName[];
}

const mostSubtrees = 1000;
/** Comparisons of a name with a subtree that one path may cost, counted as in OpenSSL. */
const mostComparisons = 1 << 20;

export function readNameConstraints(value: Buffer): NameConstraints {
  const cursor = new Cursor(parse(value));
  const permitted = cursor.optional(2, 0);
  const excluded = cursor.optional(2, 1);
  cursor.done();
  return {
    permitted: permitted === undefined ? [] : readSubtrees(new Cursor(permitted)),
    excluded: excluded === undefined ? [] : readSubtrees(new Cursor(excluded)),
  };
}

function readSubtrees(cursor: Cursor): GeneralName[] {
  const bases: GeneralName[] = [];
  while (!cursor.atEnd) {
    if (bases.length >= mostSubtrees) throw malformedCertificate('nameConstraints', 'too many subtrees');
    const subtree = new Cursor(cursor.expect(tags.sequence));
    bases.push(readGeneralName(subtree.next()));
    // RFC 5280: minimum is 0 and maximum absent; other values have no meaning
    const minimum = subtree.optional(2, 0);
    if (minimum !== undefined && content(minimum).some((octet) => octet !== 0)) {
      throw malformedCertificate('nameConstraints', 'a minimum other than 0');
    }
    subtree.done();
  }
  return bases;
}

/** All names of a certificate that constraints apply to, including the subject and the addresses in it. */
function namesOf(certificate: Certificate): GeneralName[] {
  const names: GeneralName[] = [...certificate.subjectAltNames];
  if (!isEmptyName(certificate.subjectDer)) names.push({ kind: 'directory', name: certificate.subjectName });
  // RFC 5280 requires this only without subjectAltName, but Sealpost uses these addresses in any case
  for (const value of attributeValues(certificate.subjectName, oids.emailAddress)) {
    names.push({ kind: 'email', value });
  }
  return names;
}

/** The constraints collected along a path: a name must satisfy those of each certificate. */
export class ConstraintSet {
  readonly #sets: NameConstraints[] = [];
  readonly #budget: Budget | undefined;
  #comparisons = 0;

  constructor(budget?: Budget) {
    this.#budget = budget;
  }

  add(certificate: Certificate): void {
    const extension = certificate.extensions.get(oids.nameConstraints);
    if (extension === undefined) return;
    this.#sets.push(reading('extension nameConstraints', () => readNameConstraints(extension.value)));
  }

  /**
   * Steps (b) and (c) of RFC 5280 section 6.1.3.
   * @returns undefined if all names are allowed, otherwise a description of one that is not
   */
  violation(certificate: Certificate): string | undefined {
    if (this.#sets.length === 0) return undefined;
    for (const name of namesOf(certificate)) {
      for (const set of this.#sets) {
        if (!this.#allows(set, name))
          return `a name of kind ${name.kind} is outside what its issuers may certify`;
      }
    }
    return undefined;
  }

  #allows({ permitted, excluded }: NameConstraints, name: GeneralName): boolean {
    this.#budget?.spend((permitted.length + excluded.length) * costs.comparison);
    const kind = kindOf(name);
    const sameKind = (base: GeneralName): boolean =>
      kindOf(base) === kind && (kind !== 'other' || typeOf(base) === typeOf(name));
    const allowing = permitted.filter(sameKind);
    const refusing = excluded.filter(sameKind);
    this.#comparisons += permitted.length + excluded.length;
    if (this.#comparisons > mostComparisons) {
      throw malformedCertificate('nameConstraints', 'too many names and subtrees to compare');
    }
    if (allowing.length === 0 && refusing.length === 0) return true;
    // a constraint on a kind of name that is not understood must not be passed over (section 4.2.1.10)
    if (kind === 'other') return false;
    if (refusing.some((base) => matches(name, base, true))) return false;
    return allowing.length === 0 || allowing.some((base) => matches(name, base, false));
  }
}

function kindOf({ kind }: GeneralName): Kind {
  return kind === 'utf8Email' ? 'email' : kind;
}

function typeOf(name: GeneralName): string {
  return name.kind === 'other' ? name.type : name.kind;
}

/** @param excluding the answer for a name that cannot be understood */
function matches(name: GeneralName, base: GeneralName, excluding: boolean): boolean {
  if (name.kind === 'directory' && base.kind === 'directory') return isWithin(name.name, base.name);
  if (name.kind === 'dns' && base.kind === 'dns') return dnsMatches(name.value, base.value, excluding);
  if (name.kind === 'uri' && base.kind === 'uri') return uriMatches(name.value, base.value, excluding);
  if (name.kind === 'ip' && base.kind === 'ip') return ipMatches(name.octets, base.octets, excluding);
  if ((name.kind === 'email' || name.kind === 'utf8Email') && base.kind === 'email') {
    return emailMatches(name.value, base.value, excluding);
  }
  return excluding;
}

/** The host of a name or a constraint, without a final dot, which has no meaning. */
function hostOf(text: string): Domain | undefined {
  return toDomain(text.endsWith('.') ? text.slice(0, -1) : text);
}

/**
 * A DNS constraint covers the name itself and everything below it; with a leading dot, as some write it, only what is
 * below it.
 */
function dnsMatches(text: string, constraint: string, excluding: boolean): boolean {
  if (constraint === '') return true;
  const onlyBelow = constraint.startsWith('.');
  const base = hostOf(onlyBelow ? constraint.slice(1) : constraint);
  const wildcard = text.startsWith('*.');
  const name = hostOf(wildcard ? text.slice(2) : text);
  if (base === undefined || name === undefined) return excluding;
  if (isBelow(name, base)) return true;
  // `*.x` is every name below x, so it lies within a constraint on x, and has names within any constraint below x
  if (wildcard) return name === base || (excluding && isBelow(base, name));
  return name === base && !onlyBelow;
}

/** A constraint on hosts: "host" is that host alone, ".domain" is everything below it (RFC 5280 section 4.2.1.10). */
function hostMatches(name: Domain, constraint: string, excluding: boolean): boolean {
  const onlyBelow = constraint.startsWith('.');
  const base = hostOf(onlyBelow ? constraint.slice(1) : constraint);
  if (base === undefined) return excluding;
  return onlyBelow ? isBelow(name, base) : name === base;
}

function emailMatches(name: string, base: string, excluding: boolean): boolean {
  const at = name.lastIndexOf('@');
  const domain = at < 0 ? undefined : hostOf(name.slice(at + 1));
  if (domain === undefined) return excluding;
  if (base === '') return true;
  const baseAt = base.lastIndexOf('@');
  if (baseAt < 0) return hostMatches(domain, base, excluding);
  const baseDomain = hostOf(base.slice(baseAt + 1));
  if (baseDomain === undefined) return excluding;
  const local = localValue(name.slice(0, at));
  const baseLocal = localValue(base.slice(0, baseAt));
  const sameLocal = local === baseLocal || (excluding && smallLetters(local) === smallLetters(baseLocal));
  return sameLocal && domain === baseDomain;
}

/** Quotes around a local part do not belong to it (RFC 5321, section 4.1.2). */
function localValue(local: string): string {
  return /^".*"$/s.test(local) ? local.slice(1, -1).replace(/\\(.)/gs, '$1') : local;
}

function uriMatches(name: string, base: string, excluding: boolean): boolean {
  // RFC 3986, section 3.2: the part before an `@` is a user; more than one `@`, or a backslash, can be read in two ways
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@\\]*@)?([^/?#@\\:]*)(?::\d*)?(?:[/?#]|$)/i.exec(name)?.[1];
  // constraints on URIs need a host name, which a numeric address is not (RFC 5280 section 4.2.1.10)
  const domain = host === undefined ? undefined : hostOf(host);
  if (domain === undefined) return excluding;
  return base === '' || hostMatches(domain, base, excluding);
}

function ipMatches(address: Buffer, base: Buffer, excluding: boolean): boolean {
  if (base.length !== address.length * 2) return excluding && base.length !== 8 && base.length !== 32;
  return address.every(
    (octet, index) => ((octet ^ (base[index] ?? 0)) & (base[address.length + index] ?? 0)) === 0,
  );
}
