/** Mutants of the console and of the people who use it. */
import { mutants } from './mutant.ts';

export const people = [
  ...mutants('user', [
    [
      'user/tries.ts',
      'address: [10, 600_000]',
      'address: [10_000, 600_000]',
      'attacks/console-logins~are.limited.by.address',
      'a stranger tries passwords without end',
    ],
    [
      'user/logins.ts',
      "redis.set(key, '1', 'PX', codeLasts, 'NX'))) === 'OK'",
      "redis.set(key, '1', 'PX', codeLasts))) === 'OK'",
      'attacks/console-logins~take.a.code.once',
      'a code that somebody has seen logs in again',
    ],
    [
      'user/oidc.ts',
      'if (at * 1000 < startedAt - clockTolerance)',
      'if (at * 1000 < 0)',
      'attacks/console-oidc~are.proven.again',
      'a provider answers a step-up from memory',
    ],
    [
      'user/oidc.ts',
      "if (typeof elsewhere === 'object' && elsewhere !== null && name in elsewhere) return undefined;",
      '',
      'attacks/console-oidc~groups.that.overflow',
      'some of the groups of a person count for all of them',
    ],
  ]),
  ...mutants('console', [
    [
      'console/csrf.ts',
      'if (headers.origin?.toLowerCase() !== own.toLowerCase())',
      'if (headers.origin === undefined)',
      'attacks/console-requests~without.the.Origin',
      'a page of somebody else logs a browser in',
    ],
    [
      'console/call.ts',
      'if (operations.isGrave(name) && !logins.isFresh(visit.session))',
      'if (operations.isGrave(name) && logins === undefined)',
      'attacks/console-acts~ask.again.who.it.is',
      'a browser left open terminates messages',
    ],
    [
      'console/second-pages.ts',
      'if (asked.person === person.id)',
      'if (asked.id === person.id)',
      'attacks/console-acts~not.by.one.person.twice',
      'one person is both',
    ],
  ]),
  ...mutants('subjects', [
    [
      'queue/subjects.ts',
      'const contextOf = (id: string) =>',
      "const contextOf = (_: string, id = '') =>",
      'queue/subjects~do.not.open.for.another',
      'a subject is shown as that of another message',
    ],
    [
      'api/messages.ts',
      "client.may('content') ? await queue.ledger.subjects",
      "client.may('read') ? await queue.ledger.subjects",
      'attacks/kept-subjects~is.on.no.page',
      'whoever may read the ledger reads subjects',
    ],
    [
      'api/messages.ts',
      "if (query.subject !== undefined && !client.may('content'))",
      "if (query.subject !== undefined && !client.may('read'))",
      'attacks/kept-subjects~is.on.no.page',
      'a subject is guessed by searching',
    ],
    [
      'queue/listing.ts',
      'Math.max(0, Math.min(wanted, this.#left))',
      'wanted',
      'queue/subjects~for.a.page',
      'a search opens the whole ledger for a page',
    ],
  ]),
  ...mutants('rights', [
    [
      'client/grants.ts',
      'other.verbs.every((verb) => own.verbs.includes(verb)) &&',
      '',
      'attacks/rights-raised~it.gives.people.what.it.has',
      'a token makes an administrator',
    ],
    [
      'user/desk.ts',
      'if (covers(grants, grantsOf(this.#rightsOf(other)))) return undefined;',
      'return undefined;',
      'attacks/rights-raised~takes.over.nobody',
      'the invitation of an administrator goes to who may do less',
    ],
    [
      'client/desk.ts',
      "if (credential !== '' && name.toLowerCase() === other.name.toLowerCase())",
      "if (credential === '' && name.toLowerCase() === other.name.toLowerCase())",
      'attacks/rights-raised~its.own.client.stays',
      'a token grants itself what it wants',
    ],
    [
      'client/desk.ts',
      'if (own !== null && (expiresAt === null || expiresAt > own))',
      'if (own !== null && expiresAt === null)',
      'attacks/rights-raised~does.not.outlive',
      'a token makes one that lasts longer',
    ],
  ]),
];
