/** Mutants of who a message is from, and of what becomes of it. */
import { mutants } from './mutant.ts';

export const inboundPolicy = [
  ...mutants('partner', [
    [
      'partner/sender.ts',
      "by: fault !== undefined && isConcerned ? 'conflict' : by,",
      'by,',
      'partner/directory',
      'a conflict passes for a signature',
    ],
    [
      'partner/sender.ts',
      'certified.some((each) => partner && each.includes(partner))',
      'certified.length > 0',
      'partner/directory partner/policy',
      'any trusted signer proves the partner that From names',
    ],
    [
      'partner/assess.ts',
      'const unresolved = isRead ?',
      'const unresolved = true ?',
      'pipeline/decode',
      'what could not be decrypted is dropped, because the signer is inside',
    ],
    [
      'partner/assess.ts',
      "if (by === 'conflict' && fault !== undefined)",
      "if (by === 'conflict' && fault !== undefined && unresolved === 'suspend')",
      'pipeline/decode',
      'a conflict is dropped',
    ],
  ]),
  ...mutants('queue', [
    [
      'queue/lua.ts',
      "if before and before ~= partner then rcall('ZREM', P .. ':ix:p:' .. before, id) end",
      '',
      'queue/attribution',
      'a message stays in the list of the partner that it was taken for',
    ],
    [
      'queue/flow.ts',
      "...(from ? attributed(from) : ['-', '']),",
      "...(from ? attributed(from) : ['', '']),",
      'queue/attribution',
      'a later step forgets the partner',
    ],
  ]),
];
