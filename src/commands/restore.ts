import { Command } from 'commander';
import {
  openInstallation,
  readBackup,
  readBackupKey,
  restoreBackup,
  restoreFiles,
  restoreSpoolKey,
} from '../backup/index.ts';
import { loadConfig } from '../config/index.ts';
import { createLog } from '../log.ts';
import { waitsForRelease, writeRestoreMark } from '../queue/index.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

export function restoreCommand(): Command {
  const command = new Command('restore').usage('[options] <file> | files <file> | release');
  command
    .command('data', { isDefault: true })
    .description('write a backup into an empty installation; nothing begins before restore release')
    .argument('<file>', 'the backup')
    .requiredOption('--key <file>', 'private half of the key that it is sealed to')
    .option(
      '--spool-key <id>',
      'take the spool key out of the backup, if it is this one: backup said which when it was made',
    )
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(restore);
  command
    .command('files')
    .description('write the configuration and the files beside it into a new folder, and nothing else')
    .argument('<file>', 'the backup')
    .requiredOption('--key <file>', 'private half of the key that it is sealed to')
    .requiredOption('--into <folder>', 'a folder that is empty, or not there')
    .option('--json', 'print JSON')
    .action(files);
  command
    .command('release')
    .description('let a restored installation begin: receive, and send what is new')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(release);
  return command;
}

async function restore(
  file: string,
  options: { key: string; config: string; spoolKey?: string; json?: boolean },
): Promise<void> {
  const key = readBackupKey(options.key, 'private');
  const config = await loadConfig(options.config);
  const log = createLog('error', 'restore');
  // All of it, before anything is written.
  await readBackup(file, key);
  if (options.spoolKey !== undefined) await restoreSpoolKey(config, { file, key, id: options.spoolKey });
  const installation = await openInstallation(config, log);
  try {
    const { head, trailer, held, credentials, people } = await restoreBackup(
      { ...installation, config, log },
      { file, key, spoolKey: installation.spoolKey },
    );
    await withQueue(config, ({ audit }) =>
      audit.add({ at: Date.now(), by: operator(), what: 'restore', subject: file }),
    );
    if (options.json) return printJson({ ...trailer, spoolKey: head.spoolKey, held, credentials, people });
    printLine(`restored as of ${new Date(trailer.at).toISOString()}, and paused`);
    if (options.spoolKey !== undefined) printLine(`the spool key is the one in the backup: ${head.spoolKey}`);
    const wait = held === 1 ? '1 message waits' : `${held} messages wait`;
    printLine(`${wait} for you: sealpost messages list --state suspended --reason restored`);
    const ended = credentials === 1 ? '1 way' : `${credentials} ways`;
    printLine(`${ended} of clients to log in ended: make new tokens with sealpost tokens add`);
    if (people > 0) {
      const who = people === 1 ? '1 person of the console is' : `${people} people of the console are`;
      printLine(`${who} disabled: sealpost users enable NAME`);
    }
    printLine('then: sealpost start, and sealpost restore release');
  } finally {
    await installation.close();
  }
}

async function files(file: string, options: { key: string; into: string; json?: boolean }): Promise<void> {
  const { written } = await restoreFiles(file, readBackupKey(options.key, 'private'), options.into);
  const said = `${written === 1 ? '1 file' : `${written} files`} in ${options.into}`;
  printDone(options, { files: written, into: options.into }, said);
}

async function release({ config: file, ...options }: { config: string; json?: boolean }): Promise<void> {
  await withQueue(await loadConfig(file), async ({ redis, prefix, audit }) => {
    const mark = await waitsForRelease({ redis, prefix });
    if (mark === undefined) return printDone(options, { released: false }, 'nothing waits for a release');
    await audit.add({ at: Date.now(), by: operator(), what: 'restore-release' });
    await writeRestoreMark({ redis, prefix }, undefined);
    const said = 'released: the daemon begins to work now; what is suspended stays so until you resume it';
    printDone(options, { released: true }, said);
  });
}
