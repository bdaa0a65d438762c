/** What a profile is: a named, versioned set of rules with dates and sources, and defaults for outbound mail. */
import type { ProtectionSettings } from '../smime/index.ts';

/** must: who misses it does not meet the profile. should: it is reported. may: it is allowed, and only said. */
export const levels = ['must', 'should', 'may'] as const;
export type Level = (typeof levels)[number];

export const directions = ['inbound', 'outbound'] as const;
export type Direction = (typeof directions)[number];

/** What a certificate is used for. `ca`: an issuer above it. */
export const certificateUses = ['sign', 'encrypt', 'ca'] as const;
export type CertificateUse = (typeof certificateUses)[number];

export const protections = ['encrypted', 'signed', 'header'] as const;

/** What a rule demands of messages. Each is read by one function of `rules.ts`. */
export type MessageDemand =
  /** Each layer of encryption has one of these ciphers. */
  | { readonly about: 'content'; readonly allow: readonly string[] }
  /** Each content key reaches its recipient in one of these ways; see `UsedEncryption`. */
  | { readonly about: 'key-management'; readonly allow: readonly string[] }
  | { readonly about: 'digest'; readonly allow: readonly string[] }
  /** Schemes as in `UsedSignature`. */
  | { readonly about: 'signature'; readonly allow: readonly string[] }
  /** Ways of protection that must be there; `header`: the header fields are protected too. */
  | { readonly about: 'protection'; readonly require: readonly (typeof protections)[number][] }
  /** The outermost layer of encryption or signature, and the next one, and so on: exactly these. */
  | { readonly about: 'order'; readonly layers: readonly ('encryption' | 'signature')[] }
  | { readonly about: 'form'; readonly allow: readonly ('opaque' | 'detached')[] };

/** What a rule demands of keys and certificates. */
export type KeyDemand =
  /** Families that are not named are not judged. */
  | {
      readonly about: 'key-size';
      readonly uses: readonly CertificateUse[];
      readonly minimum: Readonly<Record<string, number>>;
    }
  | {
      readonly about: 'key-family';
      readonly uses: readonly CertificateUse[];
      readonly allow: readonly string[];
    }
  /** Names in node:crypto. Only EC keys are judged. */
  | { readonly about: 'curve'; readonly uses: readonly CertificateUse[]; readonly allow: readonly string[] };

export type CertificateDemand =
  /** Days from notBefore to notAfter. */
  | { readonly about: 'validity'; readonly uses: readonly CertificateUse[]; readonly maximumDays: number }
  /** Schemes by which the certificate itself may be signed. */
  | {
      readonly about: 'certificate-signature';
      readonly uses: readonly CertificateUse[];
      readonly allow: readonly string[];
    }
  /** Object identifiers of extended key usages: one of `any` must be there, and nothing that is not in `allow`. */
  | {
      readonly about: 'extended-key-usage';
      readonly uses: readonly CertificateUse[];
      readonly require: readonly string[];
      readonly allow?: readonly string[] | undefined;
    };

/** A key demand is judged in messages (keys of recipients and signers) and in certificates. */
export type Demand = MessageDemand | KeyDemand | CertificateDemand;

export interface Citation {
  readonly document: string;
  readonly version: string;
  readonly section: string;
}

export interface RuleFacts {
  /** Unique in its profile, such as `content-gcm`. */
  readonly id: string;
  readonly level: Level;
  /** Both, unless given. */
  readonly directions?: readonly Direction[] | undefined;
  /** Days in UTC; `until` is the first day on which it no longer holds. */
  readonly from?: string | undefined;
  readonly until?: string | undefined;
  /** Only certificates issued from that day on. */
  readonly issuedFrom?: string | undefined;
  /** What it says, in a sentence. */
  readonly says: string;
  readonly source: Citation;
  /**
   * Nobody could read it in its source. Until `profiles.dates` of the settings gives it a day, it is reported as a
   * `should` and refuses nothing.
   */
  readonly unverified?: boolean | undefined;
}

export type Rule = RuleFacts & Demand;

export interface Profile {
  readonly name: string;
  /** Former names and short ones. */
  readonly aliases: readonly string[];
  /** The profile that an operator's is built on. */
  readonly extends?: string | undefined;
  /** Of this set of rules. */
  readonly version: string;
  readonly title: string;
  /** What it is for, and how far its text was read. */
  readonly about: string;
  /** Settings for outbound mail; those of the default are not repeated. */
  readonly outbound: ProtectionSettings;
  readonly rules: readonly Rule[];
}
