/** `sealpost doctor`: what the maintainers need to know of an installation, and nothing else. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { printableJson } from '../printable.ts';
import { OutputFile, packageFile } from './files.ts';
import { collect, configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { printTable } from './table.ts';
import { plural } from './when.ts';

interface DoctorOptions {
  config: string;
  out?: string;
  log?: string[];
  journal?: string | boolean;
  json?: boolean;
}

async function doctor({ out, json, ...options }: DoctorOptions): Promise<void> {
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
  const { sectionsOf } = await import('./doctor/sections.ts');
  const sections = await sectionsOf({ ...options, version });
  const bundle = {
    madeAt: new Date().toISOString(),
    ...Object.fromEntries(sections.map(({ name, content }) => [name, content])),
  };
  if (json) {
    printJson(bundle, 2);
    return;
  }
  const rows = sections.map(({ name, about, content }) => [
    { text: name },
    { text: String(Buffer.byteLength(JSON.stringify(content))) },
    { text: about },
  ]);
  printTable([{ title: 'SECTION' }, { title: 'OCTETS', right: true }, { title: 'WHAT', least: 20 }], rows);
  if (out === undefined) {
    printLine('nothing was written; --out FILE writes it, --json prints it');
    return;
  }
  const file = await OutputFile.create(out, { isNew: true });
  const text = Buffer.from(`${printableJson(JSON.stringify(bundle, null, 2))}\n`);
  try {
    await file.write(text);
  } catch (error) {
    await file.abort();
    throw error;
  }
  await file.commit();
  printLine(`${plural(text.length, 'octet')} in ${out}: JSON; read it before you send it`);
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .addOption(configOption())
    .option(
      '--log <file>',
      'with the words of a file of the log; - reads standard input; may be repeated',
      collect,
    )
    .option(
      '--journal [unit]',
      "with those of the journal of systemd, of a day; without a unit of sealpost's",
    )
    .option('--out <file>', 'write the bundle into a new file, which only its owner can read')
    .option('--json', 'print the bundle')
    .action(doctor);
}
