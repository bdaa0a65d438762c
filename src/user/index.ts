/**
 * The people who use the console: who they are, how they prove it, and what they may do. Begin with `logins.ts`. A
 * person's rights are a `Client` with grants, as a program has it, so all other code asks the same question for both.
 */
export { type Invited, PersonDesk, type PersonDeskParts, personView } from './desk.ts';
export {
  type FailedLogin,
  failedLogins,
  type LoggedIn,
  Logins,
  type LoginsParts,
  type Shown,
  type Where,
} from './logins.ts';
export { type Came, type Flow, Provider } from './oidc.ts';
export { leastLength } from './password.ts';
export type { Person } from './person.ts';
export { addPerson, invite, personNamed, UserRegistry, type UsersParts } from './registry.ts';
export { hasRole, type Rights, type Role, roles } from './roles.ts';
export { type AskedFor, Seconds } from './second.ts';
export type { Session } from './sessions.ts';
export type { StoredPasskey, StoredPerson, UsersDocument } from './stored.ts';
export { totpAt, totpUri } from './totp.ts';
