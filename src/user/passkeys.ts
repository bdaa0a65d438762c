/**
 * Passkeys (WebAuthn level 3): keys that the browser of a person, its phone or a stick holds, each for this console
 * alone. One that has verified its person (by PIN, finger or face) is a whole login; one that was only touched stands
 * in for the code of the app, beside the password. What is looked at by hand here is what the library leaves to its
 * callers: single-use challenges, counters, whose key it is, and frames of other sites.
 */
import { createHash, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Audit } from '../queue/index.ts';
import { guarded } from '../redis/index.ts';
import type { Person } from './person.ts';
import type { UserRegistry } from './registry.ts';
import type { StoredPasskey, StoredPerson } from './stored.ts';

export interface PasskeysParts {
  config: Pick<Config, 'console'>;
  registry: UserRegistry;
  redis: Redis;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  unseal(context: string, sealed: Buffer): unknown;
  audit: Pick<Audit, 'add'>;
  now(): number;
}

/** For how many milliseconds a challenge is valid. */
export const challengeLasts = 300_000;
/** Passkeys of one person. */
const mostPasskeys = 10;
const mostText = 64 * 1024;

/** RFC 9053 and RFC 8812: EdDSA, ES256, RS256. */
const algorithms = [-8, -7, -257];

const text = z.string().max(mostText);
const base64url = text.regex(/^[A-Za-z0-9_-]+$/);
const extensions = z.record(z.string(), z.unknown()).default({});
const assertionSchema = z.object({
  id: base64url,
  rawId: base64url,
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: base64url.nullish(),
  }),
  clientExtensionResults: extensions,
});
const registrationSchema = z.object({
  id: base64url,
  rawId: base64url,
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: base64url,
    attestationObject: base64url,
    transports: z.array(z.string().max(20)).max(10).default([]),
  }),
  clientExtensionResults: extensions,
});
const challengeSchema = z.strictObject({
  purpose: z.enum(['login', 'step-up', 'register']),
  person: z.string().nullable(),
  at: z.number().int(),
});
type Purpose = z.output<typeof challengeSchema>['purpose'];

const clientDataSchema = z.object({ crossOrigin: z.boolean().optional(), topOrigin: z.string().optional() });

/** What passkeys are bound to; undefined if people reach the console by no name. */
export function passkeyPlace({
  publicUrl,
  oidc,
}: Config['console']): { origin: string; id: string } | undefined {
  const address = publicUrl ?? oidc?.url;
  if (address === undefined) return undefined;
  const { origin, hostname } = new URL(address);
  // Browsers bind passkeys to names.
  return isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? { origin, id: hostname } : undefined;
}

function parsed<S extends z.ZodType>(schema: S, given: string): z.output<S> | undefined {
  if (given.length > mostText) return undefined;
  try {
    return schema.parse(JSON.parse(given));
  } catch {
    return undefined;
  }
}

const handleOf = ({ id }: Pick<StoredPerson, 'id'>) => Buffer.from(id).toString('base64url');
const hashOf = (challenge: string) => createHash('sha256').update(challenge).digest('hex');
const refused = (why: string, hint: string) => new SealpostError('request-invalid', why, { hint });

export class Passkeys {
  readonly #parts: PasskeysParts;
  readonly #place: ReturnType<typeof passkeyPlace>;

  constructor(parts: PasskeysParts) {
    this.#parts = parts;
    this.#place = passkeyPlace(parts.config.console);
  }

  /** Whether there are any: they need `console.publicUrl`. */
  get areThere(): boolean {
    return this.#place !== undefined;
  }

  /** Errors: `request-invalid`. */
  #placeOf(): { origin: string; id: string } {
    if (this.#place) return this.#place;
    throw refused('passkeys need the address of the console', 'write console.publicUrl');
  }

  #keyOf(hash: string): string {
    return `${this.#parts.prefix}:challenge:${hash}`;
  }

  async #challenge(purpose: Purpose, person: string | null): Promise<Uint8Array<ArrayBuffer>> {
    const { redis, seal, now } = this.#parts;
    const octets = Uint8Array.from(randomBytes(32));
    const hash = hashOf(Buffer.from(octets).toString('base64url'));
    const sealed = seal(`challenge:${hash}`, { purpose, person, at: now() });
    await guarded('passkey', redis.set(this.#keyOf(hash), sealed, 'PX', challengeLasts));
    return octets;
  }

  /**
   * Whether we issued that challenge for this purpose, not long ago, and it has not been used. It is used up from now
   * on.
   */
  async #isOurs(challenge: string, purpose: Purpose, person: string | null): Promise<boolean> {
    const { redis, unseal, now } = this.#parts;
    const hash = hashOf(challenge);
    const sealed = await guarded('passkey', redis.getdelBuffer(this.#keyOf(hash)));
    if (sealed === null) return false;
    try {
      const known = challengeSchema.parse(unseal(`challenge:${hash}`, sealed));
      return known.purpose === purpose && known.person === person && now() - known.at < challengeLasts;
    } catch {
      return false;
    }
  }

  /**
   * What the browser needs to use a passkey, as JSON for `parseRequestOptionsFromJSON`.
   *
   * @param person for a step-up; undefined for a login, for which the browser offers all that it has
   * @throws {SealpostError} `request-invalid` without `console.publicUrl`
   */
  async options(person: StoredPerson | undefined): Promise<object> {
    const place = this.#placeOf();
    const { generateAuthenticationOptions } = await import('@simplewebauthn/server');
    return await generateAuthenticationOptions({
      rpID: place.id,
      challenge: await this.#challenge(person ? 'step-up' : 'login', person?.id ?? null),
      userVerification: 'preferred',
      timeout: challengeLasts,
      ...(person && { allowCredentials: person.passkeys.map(({ id }) => ({ id })) }),
    });
  }

  /** What the browser needs to make a passkey. Errors: `request-invalid`. */
  async newOptions(person: StoredPerson): Promise<object> {
    const place = this.#placeOf();
    this.#checkRoom(person);
    const { generateRegistrationOptions } = await import('@simplewebauthn/server');
    return await generateRegistrationOptions({
      ...{ rpName: 'Sealpost', rpID: place.id, userName: person.name, userDisplayName: person.name },
      userID: Uint8Array.from(Buffer.from(person.id)),
      challenge: await this.#challenge('register', person.id),
      attestationType: 'none',
      excludeCredentials: person.passkeys.map(({ id }) => ({ id })),
      authenticatorSelection: { residentKey: 'required', userVerification: 'preferred' },
      supportedAlgorithmIDs: algorithms,
      timeout: challengeLasts,
    });
  }

  #checkRoom({ passkeys }: StoredPerson): void {
    if (passkeys.length >= mostPasskeys)
      throw refused(`${mostPasskeys} passkeys are the most for one person`, 'remove one that is not used');
  }

  /**
   * Keeps a passkey that the browser has made.
   *
   * @param name what the person calls it
   * @param given `toJSON()` of the credential
   * @throws {SealpostError} `request-invalid`
   */
  async add(person: Person, name: string, given: string): Promise<void> {
    const place = this.#placeOf();
    const { registry, audit, now } = this.#parts;
    const wanted = name.trim();
    if (wanted === '' || wanted.length > 60 || /[\p{Cc}\p{Cs}]/u.test(wanted))
      throw refused('a passkey needs a name of 1 to 60 characters', 'write how you know it again');
    const made = await this.#made(person, given, place);
    if (made === undefined) throw refused('the passkey was not accepted', 'try again, within five minutes');
    const passkey: StoredPasskey = { ...made, name: wanted, createdAt: now(), usedAt: null };
    const edit = (people: readonly StoredPerson[]) => {
      // One credential belongs to one person, whatever its authenticator says.
      if (people.some(({ passkeys }) => passkeys.some(({ id }) => id === passkey.id)))
        throw refused('this passkey is known already', 'remove the old one first');
      const own = people.find(({ id }) => id === person.id);
      if (own === undefined || own.subject !== null)
        throw refused('there is no such login here', 'a provider has passkeys of its own');
      this.#checkRoom(own);
      own.passkeys.push(passkey);
    };
    edit(structuredClone([...registry.people]));
    const by = person.client.actor;
    await audit.add({ at: now(), by, what: 'passkey-add', subject: person.name, why: wanted });
    await registry.change(({ people }) => edit(people));
  }

  async #made(
    person: Person,
    given: string,
    { origin, id }: { origin: string; id: string },
  ): Promise<Omit<StoredPasskey, 'name' | 'createdAt' | 'usedAt'> | undefined> {
    const response = parsed(registrationSchema, given);
    if (response === undefined || isFramed(response.response.clientDataJSON)) return undefined;
    const { verifyRegistrationResponse } = await import('@simplewebauthn/server');
    const { decodeAttestationObject } = await import('@simplewebauthn/server/helpers');
    try {
      // Nobody asked who made the authenticator. With a chain of certificates, the library would make requests
      // elsewhere.
      const octets = Uint8Array.from(Buffer.from(response.response.attestationObject, 'base64url'));
      const attestation = decodeAttestationObject(octets);
      const kind = attestation.get('fmt');
      const isPlain =
        kind === 'none' || (kind === 'packed' && attestation.get('attStmt').get('x5c') === undefined);
      if (!isPlain) return undefined;
      const { verified, registrationInfo } = await verifyRegistrationResponse({
        response: { ...response, response: { ...response.response, transports: [] } },
        expectedChallenge: (challenge) => this.#isOurs(challenge, 'register', person.id),
        ...{ expectedOrigin: origin, expectedRPID: id, requireUserVerification: false },
        supportedAlgorithmIDs: algorithms,
      });
      if (!verified) return undefined;
      const { credential, credentialDeviceType, credentialBackedUp } = registrationInfo;
      return {
        id: credential.id,
        publicKey: Buffer.from(credential.publicKey).toString('base64url'),
        counter: credential.counter,
        transports: response.response.transports,
        mayBeCopied: credentialDeviceType === 'multiDevice',
        isCopied: credentialBackedUp,
      };
    } catch (error) {
      if (error instanceof SealpostError) throw error;
      return undefined;
    }
  }

  /** The person whose passkey somebody claims to use. Nothing is proved yet. */
  holder(given: string): StoredPerson | undefined {
    const id = parsed(assertionSchema, given)?.id;
    return this.#parts.registry.people.find(({ passkeys }) => passkeys.some((each) => each.id === id));
  }

  /**
   * Whether a passkey of that person was used now and here, and whether it has verified its person; undefined if not.
   *
   * @param given `toJSON()` of the credential
   */
  async proof(
    stored: StoredPerson,
    given: string,
    purpose: 'login' | 'step-up',
    { address }: { address: string },
  ): Promise<{ verified: boolean } | undefined> {
    const place = this.#place;
    const response = parsed(assertionSchema, given);
    const key = stored.passkeys.find(({ id }) => id === response?.id);
    if (place === undefined || response === undefined || key === undefined) return undefined;
    const { clientDataJSON, userHandle } = response.response;
    if (isFramed(clientDataJSON)) return undefined;
    const isOwner = userHandle === handleOf(stored) || (purpose === 'step-up' && userHandle == null);
    const found = await this.#verified(response, key, place, (challenge) =>
      this.#isOurs(challenge, purpose, purpose === 'step-up' ? stored.id : null),
    );
    if (found === undefined || !isOwner || found.mayBeCopied !== key.mayBeCopied) return undefined;
    return (await this.#count(stored, key, found, address)) ? { verified: found.verified } : undefined;
  }

  async #verified(
    { response, ...rest }: z.output<typeof assertionSchema>,
    key: StoredPasskey,
    { origin, id }: { origin: string; id: string },
    isOurs: (challenge: string) => Promise<boolean>,
  ): Promise<{ verified: boolean; counter: number; mayBeCopied: boolean; isCopied: boolean } | undefined> {
    const { verifyAuthenticationResponse } = await import('@simplewebauthn/server');
    const { userHandle, ...signed } = response;
    try {
      const { verified, authenticationInfo } = await verifyAuthenticationResponse({
        response: { ...rest, response: { ...signed, ...(userHandle != null && { userHandle }) } },
        ...{
          expectedChallenge: isOurs,
          expectedOrigin: origin,
          expectedRPID: id,
          requireUserVerification: false,
        },
        // The counter is compared where it is stored, after the signature was verified.
        credential: {
          ...{ id: key.id, counter: 0 },
          publicKey: Uint8Array.from(Buffer.from(key.publicKey, 'base64url')),
        },
      });
      if (!verified) return undefined;
      const { newCounter, userVerified, credentialDeviceType, credentialBackedUp } = authenticationInfo;
      return {
        ...{ verified: userVerified, counter: newCounter, isCopied: credentialBackedUp },
        mayBeCopied: credentialDeviceType === 'multiDevice',
      };
    } catch (error) {
      if (error instanceof SealpostError) throw error;
      return undefined;
    }
  }

  /** Notes a use. False if the counter did not increase: somebody else has used a copy. */
  async #count(
    stored: StoredPerson,
    key: StoredPasskey,
    { counter, isCopied }: { counter: number; isCopied: boolean },
    address: string,
  ): Promise<boolean> {
    const { registry, audit, now } = this.#parts;
    let goesOn = false;
    await registry.change(({ people }) => {
      const passkeys = people.find(({ id }) => id === stored.id)?.passkeys ?? [];
      const own = passkeys.find(({ id }) => id === key.id);
      goesOn = own !== undefined && (counter > own.counter || (counter === 0 && own.counter === 0));
      if (own && goesOn) Object.assign(own, { counter, isCopied, usedAt: now() });
    });
    if (goesOn) return true;
    const why = `the counter of the passkey ${key.name} went back: there may be a copy of it`;
    const by = `somebody, console, from ${address}`;
    await audit.add({ at: now(), by, what: 'denied', subject: stored.name, why });
    return false;
  }

  /** Errors: `request-invalid` for one that the person does not have. */
  async remove(person: Person, id: string): Promise<void> {
    const { registry, audit, now } = this.#parts;
    const found = registry.byId(person.id)?.passkeys.find((each) => each.id === id);
    if (found === undefined) throw refused('you have no such passkey', 'load the page again');
    const by = person.client.actor;
    await audit.add({ at: now(), by, what: 'passkey-remove', subject: person.name, why: found.name });
    await registry.change(({ people }) => {
      const own = people.find((each) => each.id === person.id);
      if (own) own.passkeys = own.passkeys.filter((each) => each.id !== id);
    });
  }
}

/** Whether a page of another site had the console in a frame. The library ignores that. */
function isFramed(clientDataJSON: string): boolean {
  const found = parsed(clientDataSchema, Buffer.from(clientDataJSON, 'base64url').toString());
  return found === undefined || found.crossOrigin === true || found.topOrigin !== undefined;
}
