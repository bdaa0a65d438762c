import { Command } from 'commander';
import {
  backupKeyId,
  makeBackup,
  makeBackupKey,
  openInstallation,
  readBackup,
  readBackupKey,
} from '../backup/index.ts';
import { loadConfig } from '../config/index.ts';
import { createLog } from '../log.ts';
import { OutputFile } from './files.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printError, printJson, printLine } from './output.ts';
import { packageVersion } from './package-version.ts';
import { withQueue } from './queue.ts';

export function backupCommand(): Command {
  const command = new Command('backup').usage('[options] <file> | keygen <file> | verify <file>');
  command
    .command('create', { isDefault: true })
    .description('back up records, jobs, octets and the configuration, while the daemon runs or not')
    .argument('<file>', 'the backup; a file that is there is not replaced')
    .requiredOption('--to <file>', 'public half of the key to seal it to, made by backup keygen')
    .option('--with-spool-key', 'also the spool key, without which nothing in the backup can be read')
    .option('--with-keys', 'also private keys, passwords and other files that the configuration names')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(create);
  command
    .command('keygen')
    .description('make the key to seal backups to: the private half into FILE, the public one into FILE.pub')
    .argument('<file>', 'keep it on another machine, or in a safe')
    .option('--json', 'print JSON')
    .action(keygen);
  command
    .command('verify')
    .description('read a backup to its end, and see that nothing was changed or is missing')
    .argument('<file>', 'the backup')
    .requiredOption('--key <file>', 'private half of the key that it is sealed to')
    .option('--json', 'print JSON')
    .action(verify);
  return command;
}

interface CreateOptions {
  to: string;
  withSpoolKey?: boolean;
  withKeys?: boolean;
  config: string;
  json?: boolean;
}

async function create(file: string, options: CreateOptions): Promise<void> {
  const recipient = readBackupKey(options.to, 'public');
  const config = await loadConfig(options.config);
  const log = createLog('error', 'backup');
  const output = await OutputFile.create(file, { isNew: true });
  const installation = await openInstallation(config, log);
  try {
    // Before the act, so it is in the backup, too.
    await withQueue(config, ({ audit }) =>
      audit.add({ at: Date.now(), by: operator(), what: 'backup', subject: file }),
    );
    const { contentKey, ...result } = await makeBackup(
      { ...installation, configFile: options.config, config, version: packageVersion(), log },
      { recipient, withSpoolKey: options.withSpoolKey ?? false, withKeys: options.withKeys ?? false },
      output,
    );
    await output.commit();
    // What is on disk, and not what was meant to be there.
    const { trailer } = await readBackup(file, contentKey);
    if (options.json) return printJson({ file, ...result });
    printLine(
      `backed up as of ${new Date(trailer.at).toISOString()}: ${counted(trailer)}; written, read again and verified`,
    );
    printLine(`sealed to key ${backupKeyId(recipient)}; spool key ${result.spoolKey}`);
    if (result.heldUp > 0) printLine(`writes were held up for ${result.heldUp} ms`);
    if (!options.withSpoolKey)
      printLine('the spool key is not in it, and nothing in it can be read without: keep a copy elsewhere');
    if (result.missing > 0) printError(`warning: the spool has no longer ${result.missing} objects`);
    if (result.unknown > 0)
      printError(
        `warning: ${result.unknown} keys in Redis are of kinds that are not known, and left out: ${result.unknownKinds.join(', ')}`,
      );
  } finally {
    await output.abort();
    await installation.close();
  }
}

function counted({ keys, objects, files }: { keys: number; objects: number; files: number }): string {
  const of = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;
  return `${of(keys, 'key')}, ${of(objects, 'object')}, ${of(files, 'file')}`;
}

async function keygen(file: string, { json }: { json?: boolean }): Promise<void> {
  const { privateKey, publicKey, key } = makeBackupKey();
  for (const [name, text] of [
    [file, privateKey],
    [`${file}.pub`, publicKey],
  ] as const) {
    const output = await OutputFile.create(name, { isNew: true });
    await output.write(Buffer.from(text));
    await output.commit();
  }
  if (json) return printJson({ key: backupKeyId(key), privateKey: file, publicKey: `${file}.pub` });
  printLine(`key ${backupKeyId(key)}`);
  printLine(`${file}      private half: verify and restore need it; keep it off this machine`);
  printLine(`${file}.pub  public half: sealpost backup --to ${file}.pub FILE`);
}

async function verify(file: string, { key, json }: { key: string; json?: boolean }): Promise<void> {
  const { head, trailer } = await readBackup(file, readBackupKey(key, 'private'));
  const { proof: _, ...rest } = head;
  if (json) return printJson({ ...rest, ...trailer });
  printLine(`whole and unchanged: as of ${new Date(trailer.at).toISOString()}, ${counted(trailer)}`);
  printLine(`of ${head.prefix}, by version ${head.version}; spool key ${head.spoolKey}`);
}
