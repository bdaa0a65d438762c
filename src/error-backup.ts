/** The rows of the table of errors that concern backups, restores, imports and what `health` is asked. */
export const backupRows = {
  restored: {
    class: 'message',
    cause: 'it was under way when the backup was made that was restored, so it may have been sent since',
    remedy:
      'Ask whoever should have it: resume it if it is not there (sealpost messages resume --reason restored), else terminate it.',
    seen: ['message'],
  },
  'restore-refused': {
    class: 'operator',
    cause: 'a backup cannot be restored here, or a restore was not finished',
    remedy:
      'Do what the hint says: a backup is restored into an installation that is empty, with its spool key.',
    seen: ['start', 'command'],
  },
  'backup-invalid': {
    class: 'operator',
    cause: 'a backup or its key was changed or cut, is of another version, or belongs to another key',
    remedy: 'Use another copy of the backup, and the private half of the key that it names.',
    seen: ['command'],
  },
  'backup-failed': {
    class: 'operator',
    cause:
      'no backup could be made of one moment: Redis refuses a command, or the connection was interrupted',
    remedy: 'Do what the hint says, and make the backup again.',
    seen: ['command'],
  },
  'import-invalid': {
    class: 'operator',
    cause: 'a file to import is not XML of BindingInfo, or has what a binding file never has',
    remedy: 'Export the bindings again, without changing the file.',
    seen: ['command'],
  },
  'role-not-alive': {
    class: 'operator',
    cause: 'no process of a role gives a sign of life on this machine',
    remedy: 'Start it (sealpost start), or see in its log why it ended.',
    seen: ['command'],
  },
} as const;
