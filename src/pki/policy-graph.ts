import { Cursor, oid, oids, parse, tags } from '../asn1/index.ts';
import { malformedCertificate } from './malformed.ts';

const anyPolicy = oids.anyPolicy;
const mostPolicies = 500;

/** Policy identifiers of certificatePolicies. Qualifiers are not read (RFC 5280 section 4.2.1.4). */
export function readCertificatePolicies(value: Buffer): string[] {
  const policies: string[] = [];
  const cursor = new Cursor(parse(value));
  while (!cursor.atEnd) {
    const policy = oid(new Cursor(cursor.expect(tags.sequence)).expect(tags.oid));
    if (policies.includes(policy)) throw malformedCertificate('certificatePolicies', `${policy} twice`);
    if (policies.length >= mostPolicies) throw malformedCertificate('certificatePolicies', 'too many');
    policies.push(policy);
  }
  return policies;
}

/**
 * `PolicyMappings ::= SEQUENCE OF SEQUENCE { issuerDomainPolicy, subjectDomainPolicy }`: issuer's to subject's
 * policies.
 */
export function readPolicyMappings(value: Buffer): Map<string, Set<string>> {
  const mappings = new Map<string, Set<string>>();
  const cursor = new Cursor(parse(value));
  for (let count = 0; !cursor.atEnd; count++) {
    if (count >= mostPolicies) throw malformedCertificate('policyMappings', 'too many');
    const pair = new Cursor(cursor.expect(tags.sequence));
    const issuer = oid(pair.expect(tags.oid));
    const subject = oid(pair.expect(tags.oid));
    const known = mappings.get(issuer);
    if (known === undefined) mappings.set(issuer, new Set([subject]));
    else known.add(subject);
  }
  return mappings;
}

interface Node {
  policy: string;
  expected: Set<string>;
  parents: Node[];
}

/**
 * The valid policies along a path, as the graph of RFC 9618, which has one node for each policy and depth. The tree of
 * RFC 5280 section 6.1 grows exponentially with hostile mappings.
 */
export class PolicyGraph {
  /** Nodes of each depth by valid policy. Depth 0 is anyPolicy. If the last level is empty, the graph is NULL. */
  readonly #levels: Map<string, Node>[] = [
    new Map([[anyPolicy, { policy: anyPolicy, expected: new Set([anyPolicy]), parents: [] }]]),
  ];
  #isNull = false;

  get isNull(): boolean {
    return this.#isNull;
  }

  /** Steps (d) and (e) of section 6.1.3. `policies` is undefined if the extension is absent. */
  addCertificate(policies: readonly string[] | undefined, anyPolicyAllowed: boolean): void {
    const above = this.#levels.at(-1) ?? new Map<string, Node>();
    const level = new Map<string, Node>();
    this.#levels.push(level);
    if (policies === undefined || this.#isNull) {
      this.#isNull = true;
      return;
    }
    const expecting = parentsByExpectation(above);
    const anyNode = above.get(anyPolicy);
    for (const policy of policies) {
      if (policy === anyPolicy) continue;
      const parents = expecting.get(policy) ?? (anyNode === undefined ? undefined : [anyNode]);
      if (parents !== undefined) level.set(policy, { policy, expected: new Set([policy]), parents });
    }
    if (anyPolicyAllowed && policies.includes(anyPolicy)) {
      for (const [policy, parents] of expecting) {
        if (!level.has(policy)) level.set(policy, { policy, expected: new Set([policy]), parents });
      }
    }
    this.#isNull = level.size === 0;
  }

  /** Step (b) of section 6.1.4. */
  map(mappings: ReadonlyMap<string, Set<string>>, allowed: boolean): void {
    const level = this.#levels.at(-1);
    if (level === undefined || this.#isNull) return;
    const anyNode = level.get(anyPolicy);
    for (const [policy, subjects] of mappings) {
      const node = level.get(policy);
      if (!allowed) level.delete(policy);
      else if (node !== undefined) node.expected = new Set(subjects);
      else if (anyNode !== undefined) {
        level.set(policy, { policy, expected: new Set(subjects), parents: anyNode.parents });
      }
    }
    this.#isNull = level.size === 0;
  }

  /**
   * Step (g) of section 6.1.5: the policies of the relying party's set, in the anchor's terms, under
   * which the path is valid.
   * @param initial undefined for any policy
   */
  constrainedBy(initial: ReadonlySet<string> | undefined): Set<string> {
    const found = new Set<string>();
    if (this.#isNull) return found;
    // from the last level upwards; each node is visited once, however many paths lead to it
    const seen = new Set<Node>(this.#levels.at(-1)?.values());
    for (const node of seen) {
      const top = node.parents.every(({ policy }) => policy === anyPolicy);
      if (node.policy === anyPolicy) for (const policy of initial ?? [anyPolicy]) found.add(policy);
      else if (top && (initial === undefined || initial.has(node.policy))) found.add(node.policy);
      if (node.policy !== anyPolicy && !top) for (const parent of node.parents) seen.add(parent);
    }
    return found;
  }
}

function parentsByExpectation(level: ReadonlyMap<string, Node>): Map<string, Node[]> {
  const expecting = new Map<string, Node[]>();
  for (const node of level.values()) {
    for (const policy of node.expected) {
      const parents = expecting.get(policy);
      if (parents === undefined) expecting.set(policy, [node]);
      else parents.push(node);
    }
  }
  return expecting;
}
