/** The words of certificates, for those who need no more. */

/** `waiting` for approval is used for nothing. `revoked` is a compromise: its key counts for nothing either. */
export const storedStates = ['waiting', 'approved', 'rejected', 'revoked'] as const;
export type StoredState = (typeof storedStates)[number];

export const storedUses = ['encrypt', 'verify'] as const;
export type StoredUse = (typeof storedUses)[number];

/** `tls` is for listeners and connections of our own; the others are for mail. */
export const certificateUses = ['sign', 'decrypt', 'encrypt', 'verify', 'tls'] as const;
export type KnownUse = (typeof certificateUses)[number];

export const certificateStates = ['in-force', 'next', 'expired', 'revoked', 'waiting', 'rejected'] as const;
export type KnownState = (typeof certificateStates)[number];
