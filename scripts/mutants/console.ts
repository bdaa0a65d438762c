/** Mutants of the pages of the console, and of what they act on. */
import { mutants } from './mutant.ts';

export const console = mutants('console', [
  [
    'console/html.ts',
    "  if (typeof value === 'string') return shown(value);\n",
    '',
    'attacks/console-hostile-mail',
    'characters that reorder text reach a page',
  ],
  [
    'queue/gate.ts',
    '    if (this.isStopped(route.name)) return 0;\n',
    '',
    'queue/overview',
    'a paused route sends',
  ],
  [
    'queue/lua.ts',
    "    if from then return end\n  elseif to ~= 'delivered'",
    "  elseif to ~= 'delivered'",
    'queue/overview',
    'a resumed message counts as another one',
  ],
  [
    'api/bulk.ts',
    "if (!client.may(act)) throw refusal('not-granted',",
    "if (!client.may('read')) throw refusal('not-granted',",
    'api/overview',
    'who only reads acts on many messages',
  ],
  [
    'api/bulk.ts',
    'if (limit === 0 || pages === mostPages)',
    'if (limit === 0)',
    'attacks/searches-of-one-client~go.on.where',
    'one call looks through everything for a filter that selects few',
  ],
  [
    'smtp/send.ts',
    'peer, dialogue: error.dialogue }',
    'peer }',
    'smtp/send~defers.on',
    'nobody sees what a server said before it failed',
  ],
  [
    'imap/watch.ts',
    "entry.src === 'c' ? '>' : '<'",
    "'<'",
    'imap/poller~wrong.password.as.such',
    'the words of the server and ours are not told apart',
  ],
  [
    'console/views/parts.ts',
    'const id = of === undefined ?',
    'const id = name !== undefined ?',
    'console/pages~without.findings',
    'the label of one act leads to the field of another',
  ],
]);
