/** MTA-STS (RFC 8461): what its record and its policy say. Strictly by the grammar, as a policy is for machines. */
import { plainName } from '../net/index.ts';

export interface StsPolicy {
  /** Of the record that it was fetched for. */
  id: string;
  mode: 'enforce' | 'testing' | 'none';
  /** Names of hosts in lower case; one that begins with `*.` stands for one label. */
  mx: string[];
  /** Seconds that it is valid for. */
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

/** The policy in a file (RFC 8461 section 3.2); undefined if it is not one. Of repeated fields, the first counts. */
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
