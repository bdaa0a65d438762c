/** The commands, composed. */
import { Command, CommanderError } from 'commander';
import { printable } from '../printable.ts';
import { type Streams, useStreams, writeError, writeText } from './output.ts';
import { packageVersion } from './package-version.ts';
import { reportError } from './report.ts';
import type { CommandNode } from './tree.ts';

interface Entry {
  /** Shown after the name in the list of commands. */
  usage: string;
  description: string;
  load(): Promise<Command>;
}

/** The modules of a command are loaded only when it is called. The list of commands loads none. */
const commands: Record<string, Entry> = {
  start: {
    usage: '[options]',
    description:
      'run the daemon: supervise the roles as processes until SIGTERM; a second SIGTERM stops it immediately',
    load: async () => (await import('./start.ts')).startCommand(),
  },
  check: {
    usage: '[options]',
    description:
      'report all problems of the configuration, its keys, files and Redis; exit code 1 if there is an error',
    load: async () => (await import('./check.ts')).checkCommand(),
  },
  decode: {
    usage: '[options] <file>',
    description: 'decode a mail, or a CMS object in DER or PEM, and print its verdict',
    load: async () => (await import('./decode.ts')).decodeCommand(),
  },
  encode: {
    usage: '[options] <file>',
    description: 'sign and encrypt content or a mail: signed first, then encrypted',
    load: async () => (await import('./encode.ts')).encodeCommand(),
  },
  send: {
    usage: '[options] <files...>',
    description:
      "put content or a mail on the outbound queue: it is signed, encrypted and sent as the partner's entry says",
    load: async () => (await import('./send.ts')).sendCommand(),
  },
  messages: {
    usage: '[options] [command]',
    description: 'show and manage the messages in the ledger',
    load: async () => (await import('./messages.ts')).messagesCommand(),
  },
  partners: {
    usage: '[options] [command]',
    description: 'manage partners in files of their own, and test the way to a partner',
    load: async () => (await import('./partners.ts')).partnersCommand(),
  },
  mailboxes: {
    usage: '[options] [command]',
    description: 'show how mailboxes are read; pause and resume them, poll one now',
    load: async () => (await import('./routes.ts')).mailboxesCommand(),
  },
  routes: {
    usage: '[options] [command]',
    description: 'show how the ways to partners and destinations are; pause and resume them',
    load: async () => (await import('./routes.ts')).routesCommand(),
  },
  certs: {
    usage: '[options] [command]',
    description: "list all certificates, own and partners', and decide about those that wait for approval",
    load: async () => (await import('./certs.ts')).certsCommand(),
  },
  profiles: {
    usage: '[options] [command]',
    description: 'show what profiles demand, and who would fail on a day',
    load: async () => (await import('./profiles.ts')).profilesCommand(),
  },
  dkim: {
    usage: '[options] [command]',
    description: 'print the DNS records of the keys that sign mail with DKIM',
    load: async () => (await import('./dkim.ts')).dkimCommand(),
  },
  users: {
    usage: '[options] [command]',
    description: 'manage the people who use the console: who they are, and what they may do',
    load: async () => (await import('./users.ts')).usersCommand(),
  },
  clients: {
    usage: '[options] [command]',
    description: 'manage the programs that may use the doors, and what they may do',
    load: async () => (await import('./clients.ts')).clientsCommand(),
  },
  tokens: {
    usage: '[options] [command]',
    description: 'make, list, rotate and revoke the tokens of clients',
    load: async () => (await import('./clients.ts')).tokensCommand(),
  },
  alerts: {
    usage: '[options] [command]',
    description: 'show what needs a person, silence it for a time, and test how people are told',
    load: async () => (await import('./alerts.ts')).alertsCommand(),
  },
  audit: {
    usage: '[options]',
    description: 'show what people did: with messages, with clients and tokens, and reloads, newest first',
    load: async () => (await import('./audit.ts')).auditCommand(),
  },
  reload: {
    usage: '[options]',
    description:
      'apply the changed configuration to the daemon on this machine, as a whole or not at all (exit code 1, with the reason)',
    load: async () => (await import('./reload.ts')).reloadCommand(),
  },
  health: {
    usage: '[options]',
    description:
      'show which roles are alive and how many messages wait; exit code 1 if Redis or the given role does not answer',
    load: async () => (await import('./health.ts')).healthCommand(),
  },
  log: {
    usage: '[options] [levels...]',
    description: 'show the levels of the log of the daemon on this machine, or change them until it ends',
    load: async () => (await import('./log.ts')).logCommand(),
  },
  top: {
    usage: '[options]',
    description: 'show what flows, what waits and what fails, again and again; in a pipe once',
    load: async () => (await import('./top.ts')).topCommand(),
  },
  doctor: {
    usage: '[options]',
    description:
      'list what a bundle for the maintainers would have in it, or write it: no name, address or secret',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  completion: {
    usage: '[options] <shell>',
    description: 'print a script that completes commands and options in bash, zsh or fish',
    load: async () => (await import('./completion.ts')).completionCommand(wholeTree),
  },
  man: {
    usage: '[options] [command]',
    description: 'print a manual page, or write all of them into a folder',
    load: async () => (await import('./man.ts')).manCommand(wholeTree, packageVersion()),
  },
  backup: {
    usage: '[options] [command]',
    description:
      'back up the installation, sealed to a key that is kept elsewhere; make that key; verify a backup',
    load: async () => (await import('./backup.ts')).backupCommand(),
  },
  restore: {
    usage: '[options] [command]',
    description: 'restore a backup into an empty installation, which then waits until you release it',
    load: async () => (await import('./restore.ts')).restoreCommand(),
  },
  import: {
    usage: '[options] [command]',
    description: 'turn the configuration of another program into mailboxes and partners that you complete',
    load: async () => (await import('./import.ts')).importCommand(),
  },
  demo: {
    usage: '[options]',
    description: 'demonstrate the main job on loopback with throw-away keys',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
};

const about = 'mail adapter daemon for S/MIME mail with partners';

/** Commander's own exit codes are 0 for help and 1 for a usage error; ours are 0 and 2. */
function throwInsteadOfExit(command: Command, program: Command): void {
  command.exitOverride().configureOutput(program.configureOutput());
  for (const each of command.commands) throwInsteadOfExit(each, program);
}

/** All commands as data, which loads all of them. */
export async function wholeTree(): Promise<CommandNode> {
  const program = new Command('sealpost')
    .description(about)
    .version(packageVersion(), '-V, --version', 'print the version');
  for (const { description, load } of Object.values(commands))
    program.addCommand((await load()).description(description));
  const { treeOf } = await import('./tree.ts');
  return treeOf(program);
}

async function compose(args: string[]): Promise<Command> {
  const program = new Command('sealpost')
    .description(about)
    .version(packageVersion())
    .showHelpAfterError('hint: sealpost --help lists the commands')
    .configureOutput({
      writeOut: writeText,
      writeErr: writeError,
      outputError: (text, write) => {
        const lines = text.replace(/^error: /, 'sealpost: ').split('\n');
        write(lines.map(printable).join('\n'));
      },
    })
    .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage()}` })
    .addHelpText('afterAll', '\nExit codes: 0 done, 1 could not be done, 2 usage error.');
  const wanted = args.find((word) => Object.hasOwn(commands, word));
  for (const [name, { usage, description, load }] of Object.entries(commands)) {
    const command = name === wanted ? await load() : new Command(name).usage(usage);
    program.addCommand(command.description(description));
  }
  throwInsteadOfExit(program, program);
  return program;
}

/**
 * Runs one command to its end.
 * @param args what follows `sealpost`
 * @returns the exit code: 0 for success, 1 for a failure (the message says why), 2 for a usage error
 */
export async function runProgram(args: string[], streams: Streams): Promise<number> {
  useStreams(streams);
  process.exitCode = 0;
  try {
    await (await compose(args)).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportError(error);
    return error.exitCode === 0 ? 0 : 2;
  }
  return Number(process.exitCode);
}
