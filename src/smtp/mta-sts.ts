/** MTA-STS (RFC 8461): reads records and policies strictly by the grammar, and keeps policies. */
import { LRUCache } from 'lru-cache';
import { plainName } from '../net/index.ts';
import { countTls, type TlsResult } from './tls-check.ts';

export interface StsPolicy {
  /** The id in the record for which it was fetched. */
  id: string;
  mode: 'enforce' | 'testing' | 'none';
  /** Host names in lower case. A name that begins with `*.` stands for one label. */
  mx: string[];
  /** Seconds for which it is valid. */
  maxAge: number;
}

/** Seconds (RFC 8461 section 3.2). */
const MAX_MAX_AGE = 31_557_600;
const MAX_HOSTS = 1000;

const fieldOfRecord = /^[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]*)=([\x21-\x3a\x3c\x3e-\x7e]+)[ \t]*$/;
const longestName = 32;
const mxPattern = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/**
 * The id in the TXT records of `_mta-sts.DOMAIN` (RFC 8461 section 3.1); undefined if there is no valid record, or more
 * than one.
 */
export function recordId(texts: readonly string[]): string | undefined {
  const [record, ...more] = texts.filter((text) => /^v=STSv1[ \t]*;/.test(text));
  if (record === undefined || more.length > 0) return undefined;
  const fields = record.split(';').slice(1);
  // the last delimiter is optional
  if (fields.at(-1)?.trim() === '') fields.pop();
  const parsed = fields.map((field) => fieldOfRecord.exec(field));
  if (parsed.some((field) => field === null || (field[1]?.length ?? 0) > longestName)) return undefined;
  const id = parsed.find((field) => field?.[1] === 'id')?.[2];
  return id !== undefined && /^[A-Za-z0-9]{1,32}$/.test(id) ? id : undefined;
}

/** Parses a policy file (RFC 8461 section 3.2); undefined if it is not one. The first of repeated fields counts. */
export function readPolicy(text: string, id: string): StsPolicy | undefined {
  const fields = new Map<string, string>();
  const mx: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1).trim();
    if (name === 'mx') mx.push(value.toLowerCase());
    else if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/.test(name) && !fields.has(name)) fields.set(name, value);
  }
  const mode = fields.get('mode');
  const maxAge = fields.get('max_age') ?? '';
  if (fields.get('version') !== 'STSv1' || !/^\d{1,10}$/.test(maxAge)) return undefined;
  if (mode !== 'enforce' && mode !== 'testing' && mode !== 'none') return undefined;
  if (mx.length > MAX_HOSTS || !mx.every((each) => mxPattern.test(each))) return undefined;
  if (mode !== 'none' && mx.length === 0) return undefined;
  return { id, mode, mx, maxAge: Math.min(Number(maxAge), MAX_MAX_AGE) };
}

/** Whether a policy allows a host (RFC 8461 section 4.1). */
export function allowsHost({ mx }: Pick<StsPolicy, 'mx'>, host: string): boolean {
  const name = plainName(host);
  return mx.some((pattern) =>
    pattern.startsWith('*.') ? name.replace(/^[^.]+/, '*') === pattern : name === pattern,
  );
}

/** A policy, and when it was fetched, in milliseconds since the epoch. */
export interface KeptPolicy extends StsPolicy {
  fetchedAt: number;
}

/** Policies outlive the processes: an attacker who can hide a record must not gain anything by a restart. */
export interface StsStore {
  get(domain: string): Promise<unknown>;
  /** @param life milliseconds */
  put(domain: string, policy: KeptPolicy, life: number): Promise<void>;
}

export interface StsParts {
  store: StsStore;
  /** TXT records, each in one piece; empty if there are none. Rejects if DNS gives no answer. */
  texts(name: string): Promise<string[]>;
  /** The policy file of a host such as `mta-sts.example.com`. Rejects if it cannot be fetched. */
  fetch(host: string): Promise<string>;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Milliseconds until the record is looked up again, or a failed fetch of a policy is repeated. */
const LOOK_AGAIN = 5 * 60_000;
/** Milliseconds until a policy is fetched anew although its id is the same (RFC 8461 section 3.3). */
const FETCH_AGAIN = 24 * 3_600_000;
const REMEMBERED = 1000;

/** The MTA-STS policies of recipients' domains. */
export class StsPolicies {
  readonly #parts: StsParts;
  readonly #looks = new LRUCache<string, { at: number; policy: Promise<KeptPolicy | undefined> }>({
    max: REMEMBERED,
  });

  constructor(parts: StsParts) {
    this.#parts = parts;
  }

  /**
   * The policy in force; undefined if there is none. A policy that is still valid is followed even if its record is
   * gone or it cannot be fetched again (RFC 8461 section 5.1).
   */
  async policyOf(domain: string): Promise<StsPolicy | undefined> {
    const name = plainName(domain);
    const { now } = this.#parts;
    let look = this.#looks.get(name);
    if (look === undefined || now() - look.at >= LOOK_AGAIN || now() < look.at) {
      look = { at: now(), policy: this.#look(name) };
      this.#looks.set(name, look);
      // while the store is unreachable, the next message asks again
      look.policy.catch(() => this.#looks.delete(name));
    }
    const policy = await look.policy;
    if (policy === undefined || this.#isOver(policy)) return undefined;
    return policy;
  }

  #isOver({ fetchedAt, maxAge }: KeptPolicy): boolean {
    const age = this.#parts.now() - fetchedAt;
    return age < 0 || age >= maxAge * 1000;
  }

  async #look(domain: string): Promise<KeptPolicy | undefined> {
    const { store, texts, now } = this.#parts;
    const stored = await store.get(domain);
    const kept = isKept(stored) && !this.#isOver(stored) ? stored : undefined;
    const id = recordId(await texts(`_mta-sts.${domain}`).catch(() => []));
    if (id === undefined) return kept;
    if (kept?.id === id && now() - kept.fetchedAt < FETCH_AGAIN) return kept;
    const fetched = await this.#fetch(domain, id);
    if (fetched === undefined) return kept;
    await store.put(domain, fetched, fetched.maxAge * 1000);
    return fetched;
  }

  async #fetch(domain: string, id: string): Promise<KeptPolicy | undefined> {
    const { fetch, now } = this.#parts;
    const failed = (result: TlsResult) => {
      countTls('mta-sts', result);
      return undefined;
    };
    let text: string;
    try {
      text = await fetch(`mta-sts.${domain}`);
    } catch {
      return failed('sts-policy-fetch-error');
    }
    const policy = readPolicy(text, id);
    return policy === undefined ? failed('sts-policy-invalid') : { ...policy, fetchedAt: now() };
  }
}

function isKept(value: unknown): value is KeptPolicy {
  if (typeof value !== 'object' || value === null) return false;
  const fields = ['id', 'mode', 'mx', 'maxAge', 'fetchedAt'];
  return fields.every((field) => field in value);
}
