/** Mutants of hold and replay. */
import { mutants } from './mutant.ts';

export const replays = [
  ...mutants('queue', [
    [
      'queue/acts.ts',
      'old[3] == keys or ',
      '',
      'attacks/replays~late-decider',
      'a message is replayed again for the same keys',
    ],
    [
      'queue/acts.ts',
      "rcall('HINCRBY', day, whose, 1)",
      '',
      'attacks/replays~rotating-sender',
      'one partner uses up the budget of all',
    ],
  ]),
  ...mutants('api', [
    [
      'api/replays.ts',
      'client.maySee({ ...held, partner: nameOf(held.partner) }) &&',
      '',
      'api/readiness~of.its.own',
      'a client replays the mail of other partners',
    ],
    [
      'api/readiness-desk.ts',
      'client.mayUsePartner(name)',
      'name !== undefined',
      'api/readiness~profiles.the.partners',
      'a client sees which algorithms other partners use',
    ],
  ]),
  ...mutants('queue', [
    [
      'queue/acts.ts',
      "now, rcall('HGET', m, 'p') or nil,",
      'now, nil,',
      'attacks/replays~batches',
      'mail that waited for a certificate leaves in any order',
    ],
  ]),
  ...mutants('certstore', [
    [
      'certstore/known.ts',
      "if (said?.status === 'revoked')",
      'if (said === null)',
      'daemon/recipient-revocation~shown.by.certs',
      'certs list shows a revoked certificate as in force',
    ],
  ]),
  ...mutants('pipeline', [
    [
      'pipeline/decode.ts',
      'sender.claimed.length === 0) return undefined;',
      'false) return undefined;',
      'daemon/signer-revocation~about.a.stranger',
      'a stranger has authorities asked again and again',
    ],
  ]),
  ...mutants('certstore', [
    [
      'certstore/standing.ts',
      'approval.at.getTime() + delay <= at.getTime()',
      'approval.at.getTime() + delay / 2 <= at.getTime()',
      'attacks/replays~rejected-before-the-delay',
      'what a rule approved releases mail too soon',
    ],
  ]),
  ...mutants('pki', [
    [
      'pki/term.ts',
      "if (use === 'encrypt' && entry.revoked !== undefined) return false;",
      '',
      'attacks/revoked-while-waiting~follows.no.other',
      'a certificate that was revoked hides that another one ends',
    ],
  ]),
  ...mutants('certstore', [
    [
      'certstore/standing.ts',
      'const states = await this.#statesOf(waiting, at);',
      'const states = undefined;',
      'attacks/revoked-while-waiting~releases.nothing',
      'mail that waits is put back to work for a revoked certificate',
    ],
  ]),
  ...mutants('api', [
    [
      'api/certificate-desk.ts',
      'await hear(found);',
      '',
      'api/certificate-desk~authority',
      'the API shows a revoked certificate as in force',
    ],
  ]),
];
