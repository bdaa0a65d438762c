/**
 * Who may use the console. The first person is added here: there is none by default. Each change is in the audit trail.
 */
import { Command } from 'commander';
import { type Config, loadConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import type { AuditEntry, QueueRoom } from '../queue/index.ts';
import {
  addPerson,
  invite,
  Logins,
  personNamed,
  type Rights,
  type Role,
  roles,
  type StoredPerson,
  UserRegistry,
  type UsersDocument,
} from '../user/index.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

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
  /** Changes the list, with an entry in the audit trail before it. */
  change(what: AuditEntry['what'], subject: string, edit: (document: UsersDocument) => void): Promise<void>;
}

async function withUsers(config: Config, work: (opened: Opened) => Promise<void>): Promise<void> {
  await withQueue(config, async (queue) => {
    const log = createLog('silent', 'command');
    const { oidc } = config.console;
    const registry = await UserRegistry.open({ ...queue, folder: config.dataDir, log, oidc, now: Date.now });
    const change: Opened['change'] = async (what, subject, edit) => {
      // What is wrong with the change shows before anything is written.
      edit({ version: 0, people: structuredClone([...registry.people]) });
      await queue.audit.add({ at: Date.now(), by: operator(), what, subject });
      await registry.change(edit);
    };
    await work({ registry, queue, change });
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

/** `*` or names of the configuration. */
function namesOf(
  text: string | undefined,
  what: 'mailbox' | 'partner',
  config: Config,
): '*' | string[] | undefined {
  if (text === undefined || text === '*') return text;
  const known = what === 'mailbox' ? config.mailboxes : config.partners;
  return text.split(',').map((each) => {
    const name = each.trim();
    const found = known.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (found) return found.name;
    throw usage(`--${what}: there is no ${what} ${name}`, `write a name of the configuration, or '*'`);
  });
}

/** Rights with those replaced that the options name. */
function rightsOf(options: RightsOptions, config: Config, old: Rights): Rights {
  return {
    role: options.role === undefined ? old.role : roleOf(options.role),
    mailboxes: namesOf(options.mailbox, 'mailbox', config) ?? old.mailboxes,
    partners: namesOf(options.partner, 'partner', config) ?? old.partners,
    content: options.content ?? old.content,
  };
}

const textOf = (names: '*' | readonly string[]) => (names === '*' ? 'all' : names.join(',') || 'none');

/** What may be shown of a person. */
function viewOf({ name, role, mailboxes, partners, content, disabled, createdAt, ...rest }: StoredPerson) {
  const { password, totp, invitation, subject, groups } = rest;
  const login = subject !== null ? 'oidc' : password !== null ? 'password' : 'none';
  return {
    ...{ name, role, mailboxes, partners, content, disabled, login, totp: totp !== null },
    ...{ invited: invitation !== null && invitation.expiresAt > Date.now(), subject, groups },
    createdAt: new Date(createdAt).toISOString(),
  };
}

function lineOf(person: StoredPerson): string {
  const { name, role, mailboxes, partners, content, disabled, login, totp, invited } = viewOf(person);
  const facts = [
    name,
    person.groups === null ? role : 'as its groups',
    `mailboxes ${textOf(mailboxes)}`,
    `partners ${textOf(partners)}`,
    content && 'content',
    login === 'password' ? (totp ? 'password and code' : 'password') : login === 'oidc' && 'provider',
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
  const rights = rightsOf(options, config, none);
  const { oidc } = config.console;
  if (options.subject !== undefined && oidc === undefined)
    throw usage('--subject: there is no provider', 'write console.oidc');
  const subject =
    options.subject === undefined || oidc === undefined
      ? null
      : { issuer: oidc.issuer, subject: options.subject };
  await withUsers(config, async ({ change, registry }) => {
    if (subject && registry.bySubject(subject.issuer, subject.subject))
      throw usage('--subject: somebody has it already', 'see sealpost users list');
    let code = '';
    await change('person-add', name, (document) => {
      const person = addPerson(document, name, rights, { now: Date.now(), subject });
      if (subject === null) code = invite(person, Date.now());
    });
    if (subject === null) printInvitation(name, code, options, config.console);
    else if (options.json) printJson(viewOf(personNamed(registry, name)));
    else printLine(lineOf(personNamed(registry, name)));
  });
}

async function changeRights(name: string, options: RightsOptions): Promise<void> {
  const config = await loadConfig(options.config);
  await withUsers(config, async ({ change, registry }) => {
    await change('person-change', name, (document) => {
      const person = personNamed(document, name);
      Object.assign(person, rightsOf(options, config, person));
    });
    const person = personNamed(registry, name);
    if (options.json) printJson(viewOf(person));
    else printLine(lineOf(person));
  });
}

/** A command that changes one person, and says what follows. */
function simple(
  name: string,
  description: string,
  what: AuditEntry['what'],
  edit: (person: StoredPerson, document: UsersDocument) => void,
  said: string,
): Command {
  return new Command(name)
    .argument('<name>')
    .description(description)
    .addOption(configOption())
    .action(async (person: string, options: Common) => {
      await withUsers(await loadConfig(options.config), async ({ change }) => {
        await change(what, person, (document) => edit(personNamed(document, person), document));
        printLine(`${person} ${said}`);
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
    .description('take password and app away, end all logins, and print a new invitation')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: Common) => {
      const config = await loadConfig(options.config);
      await withUsers(config, async ({ change }) => {
        let code = '';
        await change('person-reset', name, (document) => {
          const person = personNamed(document, name);
          if (person.subject !== null)
            throw usage(`${name} logs in at the provider`, 'there is no password here to reset');
          code = invite(person, Date.now());
        });
        printInvitation(name, code, options, config.console);
      });
    });
  command.addCommand(
    simple(
      'disable',
      'end all logins of a person, and refuse new ones',
      'person-disable',
      (person) => {
        person.disabled = true;
        person.epoch += 1;
      },
      'is disabled; its logins end within a second',
    ),
  );
  command.addCommand(
    simple(
      'enable',
      'let a person log in again',
      'person-enable',
      (person) => {
        person.disabled = false;
      },
      'may log in again',
    ),
  );
  command.addCommand(
    simple(
      'remove',
      'remove a person',
      'person-remove',
      (person, document) => {
        document.people = document.people.filter((each) => each !== person);
      },
      'is removed; its logins end within a second',
    ),
  );
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
      await withUsers(config, async ({ registry, queue }) => {
        const log = createLog('silent', 'command');
        const logins = new Logins({ ...queue, config, registry, log, now: Date.now });
        const id = name === undefined ? undefined : personNamed(registry, name).id;
        const failed = (await logins.failures(id)).map(({ at, address }) => ({
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
    .action(async (options: Common) => {
      await withUsers(await loadConfig(options.config), async ({ registry, queue }) => {
        await queue.audit.add({ at: Date.now(), by: operator(), what: 'users-accept' });
        await registry.change(() => undefined, true);
        printLine(`${registry.people.length} people`);
      });
    });
  return command;
}
