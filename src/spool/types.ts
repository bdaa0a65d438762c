/** What the other rooms know about the spool, and the names of its keys in Redis. */
/** Names sealed octets in the spool: in Redis (`inline`), or in the spool folder or object store (`file`). */
export interface SpoolRef {
  kind: 'inline' | 'file';
  id: string;
  /** Octets before sealing. */
  octets: number;
  /** SHA-256 of the octets before sealing, in hex. */
  sha256: string;
}

/** Finished octets. Small ones are sealed, and the caller stores them together with the job. */
export interface FinishedOctets {
  ref: SpoolRef;
  /** The sealed value of small octets; null if they are already in a file. */
  sealed: Buffer | null;
}

/** Takes any number of octets, and seals them as they arrive. Nothing is visible before `commit`. */
export interface SpoolWriter {
  /** Resolves when there is room for more. Await it, for backpressure. */
  write(chunk: Buffer): Promise<void> | void;
  /** Octets written so far. */
  readonly octets: number;
  /** SHA-256 of the octets written so far, in hex. Not available after the end. */
  readonly sha256: string;
  /**
   * Ends the octets. When this resolves, a file is on disk (fsync). Small octets are given to `with`, so that the
   * intake can store them in one round trip with the job; without `with`, they are stored at once.
   */
  commit(): Promise<SpoolRef>;
  /**
   * Ends the octets like `commit`, for a caller that stores small ones in the same round trip as the rest. With
   * `copies` above 1, small octets are sealed once per owner, while a file is shared.
   */
  finish(copies?: number): Promise<FinishedOctets[]>;
  /** Removes what was written. Idempotent; does nothing after `commit`. */
  abort(): Promise<void>;
}

export interface Spool {
  create(): SpoolWriter;
  /**
   * Like `create`, but never in Redis: for octets that the caller removes soon. After a crash, the sweep removes them.
   */
  draft(): SpoolWriter;
  /** The octets, opened and verified chunk by chunk. Errors: `spool-missing`, `spool-corrupt`. */
  open(ref: SpoolRef): AsyncIterable<Buffer>;
  /** All octets at once. For small ones only. */
  read(ref: SpoolRef): Promise<Buffer>;
  remove(ref: SpoolRef): Promise<void>;
}

/** Names of the Redis keys of the spool; each begins with the prefix (its hash tag). */
export interface SpoolKeys {
  /** Value: small octets, sealed. */
  octets(objectId: string): string;
  /** Set: ids of the messages that share a file of the spool folder. */
  fileOwners(objectId: string): string;
}

export function spoolKeysOf(prefix: string): SpoolKeys {
  return {
    octets: (objectId) => `${prefix}:o:${objectId}`,
    fileOwners: (objectId) => `${prefix}:f:${objectId}`,
  };
}
