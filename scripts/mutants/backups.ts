/** Mutants of backups and restores. */
import { mutants } from './mutant.ts';

export const backups = [
  ...mutants('backup', [
    [
      'backup/snapshot.ts',
      'await this.#again(sink, false);\n      await between(true);',
      'await between(true);',
      'backup/snapshot~one.moment',
      'what changed last is missing, and the backup shows no moment',
    ],
    [
      'backup/files.ts',
      "part === '' || part === '.' || part === '..'",
      "part === '' || part === '.'",
      'attacks/backup-archives~leave.their.folder',
      'a file of a backup is written elsewhere',
    ],
    [
      'backup/restore.ts',
      'if (!isProof(head.proof, spoolKey, contentKey.export()))',
      'if (head.proof === "")',
      'attacks/backup-archives~public.half',
      'whoever has the public half of the key makes messages up',
    ],
    [
      'backup/restore.ts',
      'document.credentials = [];',
      '',
      'attacks/backup-archives~revives.no.token',
      'a revoked token works again after a restore',
    ],
  ]),
];
