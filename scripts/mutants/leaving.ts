/** Mutants of what mail gets when it leaves: signatures of DKIM, and the trace that stops loops. */
import { mutants } from './mutant.ts';

const signing = 'dkim/signing';
const back = 'attacks/mail-that-comes-back';

export const leaving = [
  ...mutants('dkim', [
    [
      'dkim/body-hash.ts',
      'if (plain[end - 1] === SPACE) end -= 1;',
      '',
      signing,
      'white space at the end of a chunk breaks signatures',
    ],
    [
      'dkim/body-hash.ts',
      'this.#lines += (ends - end) / 2;',
      'this.#lines = (ends - end) / 2;',
      signing,
      'empty lines in two chunks count once',
    ],
    [
      'dkim/body-hash.ts',
      'if (this.#hasText) this.#hash.update(lineEnd);',
      'this.#hash.update(lineEnd);',
      signing,
      'an empty body has a line',
    ],
    [
      'dkim/signature.ts',
      'from.every((each) =>',
      'from.some((each) =>',
      `${signing}~nobody`,
      'a domain signs for an author of another one',
    ],
    [
      'domain.ts',
      'return host === domain ||',
      'return host.endsWith(domain) ||',
      `${signing}~nobody`,
      'notown.example counts as own.example',
    ],
    [
      'dkim/signature.ts',
      'domain.length === nearest',
      'domain.length > 0',
      `${signing}~nearest`,
      'parents sign as well',
    ],
    [
      'dkim/signature.ts',
      'filter(({ key }) => key === name).reverse()',
      'filter(({ key }) => key === name)',
      `${signing}~repeated`,
      'repeated fields are signed in the wrong order',
    ],
    [
      'dkim/signature.ts',
      'return oversign ? [...all, [name, undefined] as [string, undefined]] : all;',
      'return all;',
      `${signing}~oversign`,
      'anybody can add a second From',
    ],
    [
      'dkim/record.ts',
      "if (published === '') return 'revoked';",
      '',
      'dkim/record',
      'a revoked key is called another one',
    ],
    [
      'dkim/record.ts',
      "if (!lists('h', 'sha256') || !lists('s', '*', 'email')) return 'not-allowed';",
      '',
      'dkim/record',
      'a record that forbids our signatures is right',
    ],
  ]),
  ...mutants('pipeline', [
    [
      'pipeline/signed.ts',
      'else await this.#draft?.abort();',
      '',
      'pipeline/send~lets.go',
      'a message that fails leaves a draft in the spool',
    ],
    [
      'pipeline/signed.ts',
      'if (this.#stored !== undefined) await this.#spool.remove(this.#stored);',
      'if (this.#stored !== undefined) return;',
      'pipeline/send~keeps.a.large.one',
      'each large message that was sent stays in the spool',
    ],
    [
      'pipeline/signed.ts',
      'if (this.#octets <= IN_MEMORY) return;',
      'if (this.#octets > 0) return;',
      'pipeline/send~keeps.a.large.one',
      'a large message is in memory as a whole',
    ],
    [
      'pipeline/send.ts',
      'if (!to.some(isOwn)) fields.push',
      'if (!to.every(isOwn)) fields.push',
      'pipeline/send~to.come.back',
      'mail to ourselves is refused',
    ],
    [
      'pipeline/send.ts',
      'const keys = partner.dkim ? dkim : [];',
      'const keys = dkim;',
      'pipeline/send~dkim:.false',
      'mail is signed for a partner that must not get it so',
    ],
    [
      'pipeline/decode.ts',
      'if (loop !== undefined) {',
      "if (loop === '') {",
      `${back}~into.a.mailbox`,
      'mail that a server sends back into a mailbox over IMAP is taken for new mail',
    ],
    [
      'pipeline/submit.ts',
      "if (loop !== undefined) throw new SealpostError('mail-loop', loop);",
      '',
      `${back}~door`,
      'a relay and we send each other a mail for ever',
    ],
  ]),
  ...mutants('message', [
    [
      'message/trace.ts',
      "if (traces.includes(sentTrace(trace))) return 'it was sent to a partner from here before';",
      '',
      `${back}~refused.with`,
      'mail that comes back is taken',
    ],
  ]),
  ...mutants('config', [
    [
      'config/dkim-keys.ts',
      'if (bits !== undefined && bits < leastBits)',
      'if (bits !== undefined && bits < 512)',
      'commands/dkim~too.short',
      'mail is signed with a key that anybody can break',
    ],
  ]),
  ...mutants('daemon', [
    [
      'config/secret-places.ts',
      "return of === 'all' || of.some((role) => roles.includes(role));",
      "return of === 'all' || of.length > 0;",
      'daemon/reload-of-roles~names.the.missing',
      'a reload in a container of one role asks for the files of the others',
    ],
    [
      'config/secret-places.ts',
      "[/^smtp\\./, ['receive']],",
      '',
      'daemon/reload-of-roles~names.the.missing daemon/environment~each.file',
      'a reload takes a configuration whose TLS certificate is not there',
    ],
    [
      'daemon/control.ts',
      ".update(owner).digest('hex').slice(0, 16);\n  const path",
      ".update(String(process.pid)).digest('hex').slice(0, 16);\n  const path",
      'daemon/surroundings~shared.by.containers',
      'a container takes away the entrance of another one',
    ],
    [
      'daemon/control.ts',
      'owner !== undefined && isDeadOwner(owner)',
      'owner !== undefined',
      'daemon/surroundings~cleared',
      'a supervisor removes the configuration in force of another container',
    ],
  ]),
  ...mutants('daemon', [
    [
      'scripts/bundle/loader.ts',
      'if (head.build !== this.#build || head.digest !== digestOf(code)) return;',
      'if (head.build !== this.#build) return;',
      'library/bundle-loader~damaged',
      'a program runs code that the disk has damaged',
    ],
    [
      'scripts/bundle/loader.ts',
      'if (head.build !== this.#build || head.digest !== digestOf(code)) return;',
      'if (head.digest !== digestOf(code)) return;',
      'library/bundle-loader~another.build',
      'a program runs code of another version',
    ],
    [
      'scripts/bundle/loader.ts',
      'return kept?.state === state ?',
      'return kept !== undefined ?',
      'library/bundle-loader~says.now',
      'a program runs what its file said before it was changed',
    ],
    [
      'scripts/bundle/lazy-builtins.ts',
      'return declared === 1 && !isOther ? uses : undefined;',
      'return declared === 1 ? uses : undefined;',
      'library/lazy-builtins~left.as',
      'the published program calls what is no function',
    ],
  ]),
];
