/**
 * Binding files of BizTalk Server, read with care and turned into configuration that a person completes. Begin with
 * `bindings.ts` (what is in them) and `carry.ts` (what becomes of it).
 */
import { readBindings } from './bindings.ts';
import { type Carried, carryOver } from './carry.ts';

/** Errors: `import-invalid`. */
export function importBindings(octets: Buffer): Carried {
  return carryOver(readBindings(octets));
}

export type { Carried, CarriedFile } from './carry.ts';
