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
