import { SealpostError } from '../errors.ts';

/** A `certificate-malformed` error that says what is wrong and in which part. */
export function malformedCertificate(part: string, what: string, cause?: unknown): SealpostError {
  return new SealpostError('certificate-malformed', `${part}: ${what}`, { cause });
}

/**
 * Runs a reader over octets from outside. Whatever it throws becomes `certificate-malformed` with the name of the part.
 */
export function reading<T>(part: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'certificate-malformed') throw error;
    throw malformedCertificate(part, error instanceof Error ? error.message : String(error), error);
  }
}

/**
 * A value that is computed at its first use and kept. So is what `make` throws, so nothing is read twice merely because
 * it is wrong.
 */
export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | { error: unknown } | undefined;
  return () => {
    if (made === undefined) {
      try {
        made = { value: make() };
      } catch (error) {
        made = { error };
      }
    }
    if ('error' in made) throw made.error;
    return made.value;
  };
}
