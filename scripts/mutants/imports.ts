/** Mutants of imports. */
import { mutants } from './mutant.ts';

export const imports = [
  ...mutants('biztalk', [
    [
      'biztalk/lines.ts',
      "['settings of its adapter', settings.others],",
      '',
      'biztalk/import~does.not.know',
      'a setting is lost, and nobody is told',
    ],
    [
      'biztalk/xml.ts',
      'open.length >= mostDepth',
      'open.length >= 1e9',
      'attacks/binding-files~nested.too.deep',
      'nesting has no end',
    ],
    [
      'biztalk/xml.ts',
      'nesting: budget.nesting - 1',
      'nesting: budget.nesting',
      'attacks/binding-files~nested.too.deep',
      'XML within XML has no end',
    ],
    [
      'biztalk/bindings.ts',
      'else if (secret.test(each.name)) {',
      'else if (each.name === "") {',
      'attacks/binding-files~gives.no.password',
      'a password is read',
    ],
    [
      'biztalk/carry.ts',
      'next.set(base, at);',
      '',
      'attacks/binding-files~many.of.one.name',
      'each name of many that are the same looks at all before it',
    ],
    [
      'biztalk/carry.ts',
      'if (this.#left < 0)',
      'if (this.#left < -1e9)',
      'attacks/binding-files~many.addresses',
      'a small file becomes gigabytes of addresses',
    ],
    [
      'biztalk/mailbox.ts',
      "component?.get('ValidateCRL') ?? ",
      '',
      'biztalk/import~public.binding.files',
      'who checked revocation lists no longer does, and nobody is told',
    ],
    [
      'biztalk/mailbox.ts',
      "action: isDelete ? 'delete' : 'seen'",
      "action: 'seen'",
      'biztalk/import~public.binding.files',
      'mail that was deleted piles up',
    ],
  ]),
];
