import { Command } from 'commander';
import { operatorClient } from '../client/index.ts';
import { type Config, loadConfig } from '../config/index.ts';
import { type Outgoing, PartnerBook, submit } from '../pipeline/submit.ts';
import { configOption } from './options.ts';
import { addOutgoingOptions, type OutgoingOptions, outgoing } from './outgoing.ts';
import { printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

/** Puts a mail on the outbound queue of the running daemon. Errors: those of `submit` and of opening the queue. */
export async function submitToDaemon(config: Config, partner: string, mail: Outgoing): Promise<string> {
  const [sent] = await submit(
    {
      partners: new PartnerBook(config.partners),
      withIntake: (work) => withQueue(config, ({ intake }) => work(intake)),
      now: () => new Date(),
    },
    { client: operatorClient, to: { partner }, outgoing: mail, origin: { kind: 'command', detail: {} } },
  );
  return sent?.id ?? '';
}

interface SendOptions extends OutgoingOptions {
  partner: string;
  config: string;
  json?: boolean;
}

export function sendCommand(): Command {
  const command = new Command('send')
    .argument(
      '<file>',
      'content of any kind, which becomes the attachment of a new mail under its file name; or a mail, which gets From, To, Date and Message-ID where they are missing; - for standard input',
    )
    .requiredOption('--partner <name>', 'name of the partner in the configuration');
  return addOutgoingOptions(command)
    .addOption(configOption())
    .option('--json', 'print the id as JSON')
    .action(async (file: string, options: SendOptions) => {
      const mail = outgoing(file, options);
      const id = await submitToDaemon(await loadConfig(options.config), options.partner, mail);
      if (options.json) printJson({ id });
      else printLine(id);
    });
}
