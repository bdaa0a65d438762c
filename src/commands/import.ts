import { mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { importBindings } from '../biztalk/index.ts';
import { SealpostError } from '../errors.ts';
import { OutputFile, readFile } from './files.ts';
import { printJson, printLine } from './output.ts';

export function importCommand(): Command {
  const command = new Command('import');
  command
    .command('biztalk')
    .description(
      'make mailboxes and partners of a binding file of BizTalk Server; they count when you enable them',
    )
    .argument('<file>', 'binding file (BindingInfo), as BizTalk Server exports it')
    .requiredOption('--out <folder>', 'a folder that is empty, or not there')
    .option('--json', 'print JSON')
    .action(biztalk);
  return command;
}

async function biztalk(file: string, { out, json }: { out: string; json?: boolean }): Promise<void> {
  const { files, notes, mailboxes, partners } = importBindings(readFile(file));
  mkdirSync(out, { recursive: true });
  if (readdirSync(out).length > 0)
    throw new SealpostError('usage', `${out} is not empty`, { hint: 'name a new folder' });
  for (const { name, text } of files) {
    const path = join(out, name);
    mkdirSync(dirname(path), { recursive: true });
    const output = await OutputFile.create(path, { isNew: true });
    await output.write(Buffer.from(text));
    await output.commit();
  }
  const written = files.map(({ name }) => join(out, name));
  if (json) return printJson({ mailboxes, partners, files: written, notes });
  printLine(
    `${mailboxes} mailbox${mailboxes === 1 ? '' : 'es'} and ${partners} partner${partners === 1 ? '' : 's'}:`,
  );
  for (const each of written) printLine(`  ${each}`);
  for (const { of, text } of notes) printLine(`${of}: ${text}`);
  printLine(
    'read these files, export the certificates, then rename them to end in .yaml; run sealpost check',
  );
}
