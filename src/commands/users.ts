/**
 * Who may use the console. The first person is added here: there is none by default. Each change is in the audit trail.
 */
import { Command } from 'commander';
import { type Acting, operatorClient } from '../client/index.ts';
import { type Config, loadConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import {
  PersonDesk,
  personView,
  type Rights,
  type Role,
  roles,
  type StoredPerson,
  UserRegistry,
} from '../user/index.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';
import { plural } from './when.ts';

interface Common {
  config: string;
  json?: boolean;
}

interface RightsOptions extends Common {
  role?: string;
  mailbox?: string;
  partner?: string;
  content?: boolean;
  subject?: string;
}

interface Opened {
  registry: UserRegistry;
  queue: QueueRoom;
  desk: PersonDesk;
  acting: Acting;
}

async function withUsers(config: Config, work: (opened: Opened) => Promise<void>): Promise<void> {
  await withQueue(config, async (queue) => {
    const log = createLog('silent', 'command');
    const { oidc } = config.console;
    const registry = await UserRegistry.open({ ...queue, folder: config.dataDir, log, oidc, now: Date.now });
    const desk = new PersonDesk({ ...queue, registry, config, now: Date.now });
    await work({ registry, queue, desk, acting: { client: operatorClient, by: operator() } });
  });
}

function usage(message: string, hint: string): SealpostError {
  return new SealpostError('usage', message, { hint });
}

function roleOf(text: string): Role {
  const found = roles.find((each) => each === text);
  if (found) return found;
  throw usage(`--role: ${JSON.stringify(text)} is not a role`, `roles are ${roles.join(', ')}`);
}

/** `*` or names, as they are written on the command line. */
function namesOf(text: string | undefined): '*' | string[] | undefined {
  return text === undefined || text === '*' ? text : text.split(',').map((each) => each.trim());
}

/** The rights that options name. */
function rightsOf({ role, mailbox, partner, content }: RightsOptions): Partial<Rights> {
  const [mailboxes, partners] = [namesOf(mailbox), namesOf(partner)];
  return {
    ...(role !== undefined && { role: roleOf(role) }),
    ...(mailboxes !== undefined && { mailboxes }),
    ...(partners !== undefined && { partners }),
    ...(content !== undefined && { content }),
  };
}

const textOf = (names: '*' | readonly string[]) => (names === '*' ? 'all' : names.join(',') || 'none');
const viewOf = (person: StoredPerson) => personView(person, Date.now());

function lineOf(person: StoredPerson): string {
  const { name, role, mailboxes, partners, content, disabled, login, totp, passkeys, invited } =
    viewOf(person);
  const facts = [
    name,
    person.groups === null ? role : 'as its groups',
    `mailboxes ${textOf(mailboxes)}`,
    `partners ${textOf(partners)}`,
    content && 'content',
    login === 'password' ? (totp ? 'password and code' : 'password') : login === 'oidc' && 'provider',
    passkeys > 0 && plural(passkeys, 'passkey'),
    invited && 'invited',
    disabled && 'disabled',
  ];
  return facts.filter(Boolean).join('  ');
}

function addRightsOptions(command: Command): Command {
  return command
    .addOption(configOption())
    .option('--role <role>', roles.join(', '))
    .option('--mailbox <names>', "mailboxes whose mail it sees; '*' for all")
    .option('--partner <names>', "partners whose mail it sees; '*' for all")
    .option('--content', 'may read the content of messages')
    .option('--no-content', 'may not read the content of messages');
}

function printInvitation(name: string, code: string, { json }: Common, { port }: Config['console']): void {
  if (json) {
    printJson({ name, invitation: code });
    return;
  }
  printLine(`Give ${name} this code; it is shown once, and is valid for a day:`);
  printLine(code);
  printLine('It is taken at /welcome in the console, where the person sets a password.');
  if (port === undefined) printLine('There is no console yet: write console.port.');
}

async function add(name: string, options: RightsOptions): Promise<void> {
  const config = await loadConfig(options.config);
  if (options.role === undefined) throw usage('--role is missing', `roles are ${roles.join(', ')}`);
  const none: Rights = { role: 'viewer', mailboxes: '*', partners: '*', content: false };
  const rights = { ...none, ...rightsOf(options) };
  await withUsers(config, async ({ desk, acting }) => {
    const { person, invitation } = await desk.add(acting, name, rights, options.subject);
    if (invitation !== undefined) printInvitation(name, invitation, options, config.console);
    else if (options.json) printJson(viewOf(person));
    else printLine(lineOf(person));
  });
}

async function changeRights(name: string, options: RightsOptions): Promise<void> {
  await withUsers(await loadConfig(options.config), async ({ desk, acting }) => {
    const person = await desk.changeRights(acting, name, rightsOf(options));
    if (options.json) printJson(viewOf(person));
    else printLine(lineOf(person));
  });
}

/** A command that changes one person, and says what follows. */
function simple(
  name: string,
  description: string,
  act: 'disable' | 'enable' | 'endSessions' | 'remove',
  said: string,
): Command {
  return new Command(name)
    .argument('<name>')
    .description(description)
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (person: string, options: Common) => {
      await withUsers(await loadConfig(options.config), async ({ desk, acting }) => {
        await desk[act](acting, person);
        printDone(options, { name: person, done: name }, `${person} ${said}`);
      });
    });
}

export function usersCommand(): Command {
  const command = new Command('users');
  addRightsOptions(
    command.command('add').argument('<name>').description('add a person, and print its invitation'),
  )
    .option('--subject <sub>', 'it logs in at the provider (console.oidc), where this is its subject')
    .option('--json', 'print JSON')
    .action(add);
  addRightsOptions(
    command.command('change').argument('<name>').description('replace the rights that are named'),
  )
    .option('--json', 'print JSON')
    .action(changeRights);
  command
    .command('list')
    .description('list the people')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: Common) => {
      await withUsers(await loadConfig(options.config), async ({ registry }) => {
        if (registry.trouble) throw registry.trouble;
        if (options.json) return printJson(registry.people.map(viewOf));
        for (const person of registry.people) printLine(lineOf(person));
      });
    });
  command
    .command('reset')
    .argument('<name>')
    .description('take password, app and passkeys away, end all logins, and print a new invitation')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: Common) => {
      const config = await loadConfig(options.config);
      await withUsers(config, async ({ desk, acting }) => {
        const { invitation = '' } = await desk.reset(acting, name);
        printInvitation(name, invitation, options, config.console);
      });
    });
  for (const [name, description, act, said] of [
    [
      'disable',
      'end all logins of a person, and refuse new ones',
      'disable',
      'is disabled; its logins end within a second',
    ],
    ['enable', 'let a person log in again', 'enable', 'may log in again'],
    [
      'end-sessions',
      'end all logins of a person, who may log in again',
      'endSessions',
      'has to log in again; its logins end within a second',
    ],
    ['remove', 'remove a person', 'remove', 'is removed; its logins end within a second'],
  ] as const)
    command.addCommand(simple(name, description, act, said));
  command
    .command('logins')
    .argument('[name]')
    .description(
      'list failed logins of a person, or those with names that nobody has; audit lists the others',
    )
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, options: Common) => {
      const config = await loadConfig(options.config);
      await withUsers(config, async ({ desk, acting }) => {
        const failed = (await desk.failures(acting, name)).map(({ at, address }) => ({
          at: new Date(at).toISOString(),
          address,
        }));
        if (options.json) return printJson(failed);
        for (const { at, address } of failed) printLine(`${at}  from ${address}`);
      });
    });
  command
    .command('accept')
    .description(
      'accept the list of people as it is in Redis, after a restore; who was removed since is there again',
    )
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: Common) => {
      await withUsers(await loadConfig(options.config), async ({ registry, queue, acting: { by } }) => {
        await queue.audit.add({ at: Date.now(), by, what: 'users-accept' });
        await registry.change(() => undefined, true);
        const { length: people } = registry.people;
        printDone(options, { people }, plural(people, 'person', 'people'));
      });
    });
  return command;
}
