/**
 * Who may use the doors for programs: clients with their grants, and their tokens. Each change is in the audit trail.
 */
import { Command } from 'commander';
import {
  allGranted,
  type ClientDocument,
  type ClientRegistry,
  daemonClient,
  type Grants,
  loadClients,
  operatorClient,
  replaced,
  type Scope,
  type StoredCredential,
  verbs,
} from '../client/index.ts';
import { type Config, loadConfig, readDuration, readSize } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import type { AuditEntry, QueueRoom } from '../queue/index.ts';
import { makeClientQueue, printClientQueue } from './client-queue.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';
import { plural } from './when.ts';

interface Common {
  config: string;
  json?: boolean;
}

interface GrantOptions extends Common {
  scope?: string;
  partner?: string;
  mailbox?: string;
  sender?: string;
  identity?: string;
  pin?: string[];
}

interface LimitOptions extends GrantOptions {
  messagesPerMinute?: string;
  octetsPerMinute?: string;
  maxSize?: string;
}

interface Opened {
  registry: ClientRegistry;
  /** Changes the list, with an entry in the audit trail before it. */
  change(what: AuditEntry['what'], subject: string, edit: (document: ClientDocument) => void): Promise<void>;
  queue: QueueRoom;
}

const { ClientRegistry: Registry, clientOf, scopeSchema } = await loadClients();

async function withClients(config: Config, work: (opened: Opened) => Promise<void>): Promise<void> {
  await withQueue(config, async (queue) => {
    const { redis, prefix, seal, unseal } = queue;
    const log = createLog('silent', 'command');
    const parts = { redis, prefix, seal, unseal, log, folder: config.dataDir, now: Date.now };
    const registry = await Registry.open(parts);
    const change: Opened['change'] = async (what, subject, edit) => {
      // What is wrong with the change shows before anything is written.
      edit(structuredClone(registry.document));
      await queue.audit.add({ at: Date.now(), by: operator(), what, subject });
      await registry.change(edit);
    };
    await work({ registry, change, queue });
  });
}

function usage(message: string, hint: string): SealpostError {
  return new SealpostError('usage', message, { hint });
}

const listOf = (text: string | undefined) =>
  text
    ?.split(',')
    .map((each) => each.trim())
    .filter(Boolean);

/** `*` or names, as they are written on the command line. */
function namesOf(text: string | undefined): '*' | string[] | undefined {
  return text === '*' ? '*' : listOf(text);
}

/** What the options say of grants, and nothing of what they do not name. Errors: `usage`. */
function scopeOf(options: GrantOptions, config: Config): Scope {
  const known = { partner: config.partners, mailbox: config.mailboxes, identity: config.identities };
  for (const what of ['partner', 'mailbox', 'identity'] as const) {
    const names = namesOf(options[what]);
    for (const name of names === '*' ? [] : (names ?? []))
      if (!known[what].some((each) => each.name.toLowerCase() === name.toLowerCase()))
        throw usage(`--${what}: there is no ${what} ${name}`, `write a name of the configuration, or '*'`);
  }
  const said = {
    verbs: listOf(options.scope),
    partners: namesOf(options.partner),
    mailboxes: namesOf(options.mailbox),
    senders: namesOf(options.sender),
    identities: namesOf(options.identity),
  };
  const scope = scopeSchema.safeParse(said);
  if (scope.success) return scope.data;
  const [issue] = scope.error.issues;
  if (issue?.path[0] === 'verbs') {
    const unknown = (said.verbs ?? []).find((each) => !verbs.some((verb) => verb === each));
    throw usage(`--scope: ${JSON.stringify(unknown ?? '')} is not a verb`, `verbs are ${verbs.join(', ')}`);
  }
  throw usage(
    `--${String(issue?.path[0]).replace(/s$/, '')}: not a list of names`,
    "separate them by commas, or write '*'",
  );
}

function limitsOf(options: LimitOptions, old: Grants['limits']): Grants['limits'] {
  const number = (text: string | undefined, name: string, before: number) => {
    if (text === undefined) return before;
    if (!/^\d{1,9}$/.test(text)) throw usage(`${name}: not a number`, 'write a whole number; 0 is no limit');
    return Number(text);
  };
  const octets = (text: string | undefined, name: string, before: number) => {
    if (text === undefined) return before;
    const read = text === '0' ? 0 : readSize(text);
    if (read === undefined) throw usage(`${name}: not a size`, 'write it as 10MiB; 0 is no limit');
    return read;
  };
  return {
    messages: number(options.messagesPerMinute, '--messages-per-minute', old.messages),
    octets: octets(options.octetsPerMinute, '--octets-per-minute', old.octets),
    size: octets(options.maxSize, '--max-size', old.size),
  };
}

/** A client starts with nothing but what it is given; identities are those that its partners' mail is signed with. */
const nothingGranted: Grants = { ...allGranted, verbs: [], partners: [], mailboxes: [], senders: [] };

/** What is submitted under these names, and its idempotency keys, must not be those of somebody else. */
const ownNames: ReadonlySet<string> = new Set([operatorClient.name, daemonClient.name]);

function checkName(name: string): void {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(name) || ownNames.has(name.toLowerCase()))
    throw usage(
      `${name}: not a name for a client`,
      'use letters, digits, dot, underscore and hyphen, at most 63',
    );
}

function pinsOf(pins: string[] | undefined): string[] {
  return (pins ?? []).map((pin) => {
    const hex = pin.replaceAll(':', '').toLowerCase();
    if (/^[0-9a-f]{64}$/.test(hex)) return hex;
    throw usage(
      '--pin: not a SHA-256 in hex',
      'openssl x509 -in c.pem -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum',
    );
  });
}

function addGrantOptions(command: Command): Command {
  return command
    .addOption(configOption())
    .option('--scope <verbs>', `what it may do: ${verbs.join(', ')}`)
    .option('--partner <names>', "partners that it may send to and see mail for; '*' for all")
    .option('--mailbox <names>', "mailboxes whose mail it may see; '*' for all")
    .option('--sender <addresses>', "addresses that its mail may come from, also @domain; '*' for any")
    .option('--identity <names>', 'identities that may sign its mail (default: all)');
}

function addLimitOptions(command: Command): Command {
  return addGrantOptions(command)
    .option(
      '--pin <sha256>',
      'public key of a client certificate that logs in over TLS (may be repeated)',
      (pin, pins: string[] = []) => [...pins, pin],
    )
    .option('--messages-per-minute <number>', 'most messages a minute; 0 is no limit')
    .option('--octets-per-minute <size>', 'most octets a minute, such as 100MiB; 0 is no limit')
    .option('--max-size <size>', 'largest message, such as 10MiB; 0 is the limit of the door');
}

const textOf = (names: '*' | readonly string[]) => (names === '*' ? 'all' : names.join(',') || 'none');

function grantsText({ verbs, partners, mailboxes, senders, identities, limits }: Grants): string[] {
  const lines = [
    `verbs       ${textOf(verbs)}`,
    `partners    ${textOf(partners)}`,
    `mailboxes   ${textOf(mailboxes)}`,
    `senders     ${textOf(senders)}`,
    `identities  ${textOf(identities)}`,
  ];
  if (limits.messages > 0) lines.push(`limit       ${limits.messages} messages a minute`);
  if (limits.octets > 0) lines.push(`limit       ${limits.octets} octets a minute`);
  if (limits.size > 0) lines.push(`limit       ${limits.size} octets a message`);
  return lines;
}

async function add(name: string, options: LimitOptions & { queue?: boolean }): Promise<void> {
  checkName(name);
  const config = await loadConfig(options.config);
  const scope = scopeOf(options, config);
  const pins = pinsOf(options.pin);
  const limits = limitsOf(options, nothingGranted.limits);
  await withClients(config, async ({ change, registry, queue }) => {
    await change('client-add', name, (document) => {
      if (document.clients.some((each) => each.name.toLowerCase() === name.toLowerCase()))
        throw usage(`there is a client ${name} already`, 'change it with sealpost clients grant');
      document.clients.push({
        name,
        grants: { ...replaced(nothingGranted, scope), limits },
        createdAt: Date.now(),
        pins,
        queue: options.queue ?? false,
      });
    });
    if (!options.json || !options.queue) show(clientOf(registry.document, name), options);
    if (options.queue) printClientQueue(makeClientQueue(name, queue), options.json);
  });
}

async function grant(name: string, options: LimitOptions): Promise<void> {
  const config = await loadConfig(options.config);
  const scope = scopeOf(options, config);
  const pins = pinsOf(options.pin);
  await withClients(config, async ({ change, registry }) => {
    await change('client-grant', name, (document) => {
      const client = clientOf(document, name);
      client.grants = {
        ...replaced(client.grants, scope),
        limits: limitsOf(options, client.grants.limits),
      };
      if (options.pin !== undefined) client.pins = pins;
    });
    show(clientOf(registry.document, name), options);
  });
}

function show(
  { name, grants, pins, queue, createdAt }: ClientDocument['clients'][number],
  { json }: Common,
): void {
  if (json) {
    printJson({ name, grants, pins, queue, createdAt: new Date(createdAt).toISOString() });
    return;
  }
  printLine(`client      ${name}`);
  for (const line of grantsText(grants)) printLine(line);
  for (const pin of pins) printLine(`pin         ${pin}`);
  if (queue) printLine('queue       yes');
}

export function clientsCommand(): Command {
  const command = new Command('clients');
  addLimitOptions(
    command.command('add').argument('<name>').description('add a client: a program that sends or reads'),
  )
    .option('--queue', 'it sends through a queue in Redis: print its user, password and key')
    .option('--json', 'print JSON')
    .action(add);
  addLimitOptions(
    command.command('grant').argument('<name>').description('replace the grants that are named'),
  )
    .option('--json', 'print JSON')
    .action(grant);
  command
    .command('queue')
    .argument('<name>')
    .description('give a client a queue in Redis, or its queue a new password')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: Common) => {
      await withClients(await loadConfig(options.config), async ({ change, registry, queue }) => {
        await change('client-grant', name, (document) => {
          clientOf(document, name).queue = true;
        });
        const made = makeClientQueue(clientOf(registry.document, name).name, queue);
        printClientQueue(made, options.json);
      });
    });
  command
    .command('list')
    .description('list the clients')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: Common) => {
      await withClients(await loadConfig(options.config), async ({ registry }) => {
        if (registry.trouble) throw registry.trouble;
        const { clients } = registry.document;
        if (options.json) return printJson(clients);
        for (const { name, grants } of clients)
          printLine(
            `${name}  ${textOf(grants.verbs)}  partners ${textOf(grants.partners)}  mailboxes ${textOf(grants.mailboxes)}`,
          );
      });
    });
  command
    .command('show')
    .argument('<name>')
    .description('show what a client may do')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: Common) => {
      await withClients(await loadConfig(options.config), async ({ registry }) => {
        if (registry.trouble) throw registry.trouble;
        show(clientOf(registry.document, name), options);
      });
    });
  command
    .command('remove')
    .argument('<name>')
    .description('remove a client with its tokens; what it has sent goes on')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: Common) => {
      await withClients(await loadConfig(options.config), async ({ change }) => {
        await change('client-remove', name, (document) => {
          const client = clientOf(document, name);
          document.clients = document.clients.filter((each) => each !== client);
          document.credentials = document.credentials.filter((each) => each.client !== client.name);
        });
        printDone(
          options,
          { removed: name },
          `client ${name} is removed; its tokens are refused from now on`,
        );
      });
    });
  command
    .command('accept')
    .description(
      'accept the list of clients as it is in Redis, after a restore; tokens revoked since then work again',
    )
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: Common) => {
      await withClients(await loadConfig(options.config), async ({ registry, queue }) => {
        await queue.audit.add({ at: Date.now(), by: operator(), what: 'clients-accept' });
        await registry.change(() => undefined, true);
        const [clients, tokens] = [registry.document.clients.length, registry.document.credentials.length];
        printDone(options, { clients, tokens }, `${plural(clients, 'client')}, ${plural(tokens, 'token')}`);
      });
    });
  return command;
}

interface TokenOptions extends GrantOptions {
  expires: string;
  note?: string;
}

/** Errors: `usage`. */
function expiryOf(text: string): number | null {
  if (text === 'never') return null;
  const read = readDuration(text);
  if (read === undefined || read === 0) throw usage('--expires: not a time', 'write it as 90d, or never');
  return Date.now() + read;
}

async function addToken(name: string, options: TokenOptions): Promise<void> {
  const config = await loadConfig(options.config);
  const scope = scopeOf(options, config);
  const expiresAt = expiryOf(options.expires);
  await withClients(config, async ({ registry, change, queue }) => {
    if (registry.trouble) throw registry.trouble;
    const exists = registry.document.clients.some((each) => each.name.toLowerCase() === name.toLowerCase());
    if (!exists) {
      checkName(name);
      if (scope.verbs === undefined || (scope.partners === undefined && scope.mailboxes === undefined))
        throw usage(
          `there is no client ${name}`,
          'to make one with this token, write --scope, and --partner or --mailbox',
        );
      await change('client-add', name, (document) => {
        document.clients.push({
          name,
          grants: replaced(nothingGranted, scope),
          createdAt: Date.now(),
          pins: [],
        });
      });
    }
    await queue.audit.add({ at: Date.now(), by: operator(), what: 'token-add', subject: name });
    const { id, text } = await registry.addCredential(name, {
      note: options.note ?? '',
      scope: exists ? scope : {},
      expiresAt,
    });
    if (options.json) return printJson({ id, token: text, client: name, expiresAt: isoOf(expiresAt) });
    printLine(text);
  });
}

const isoOf = (at: number | null) => (at === null ? null : new Date(at).toISOString());

async function listTokens(options: Common): Promise<void> {
  await withClients(await loadConfig(options.config), async ({ registry }) => {
    if (registry.trouble) throw registry.trouble;
    const used = await registry.lastUses();
    const now = Date.now();
    const rows = registry.document.credentials.map(({ id, client, note, createdAt, expiresAt, scope }) => ({
      ...{ id, client, note, scope, createdAt: isoOf(createdAt), expiresAt: isoOf(expiresAt) },
      lastUsedAt: isoOf(used.get(id) ?? null),
      state: expiresAt !== null && expiresAt <= now ? 'expired' : 'valid',
    }));
    if (options.json) return printJson(rows);
    for (const { id, client, state, expiresAt, lastUsedAt, note } of rows)
      printLine(
        [
          id,
          client,
          state,
          expiresAt === null ? 'until revoked' : `until ${expiresAt}`,
          `used ${lastUsedAt ?? 'never'}`,
          note,
        ]
          .filter(Boolean)
          .join('  '),
      );
  });
}

/** Errors: `client-unknown` for an id that is not there. */
function tokenOf(document: ClientDocument, id: string): StoredCredential {
  const found = document.credentials.find((each) => each.id === id);
  if (found) return found;
  throw new SealpostError('client-unknown', `there is no token ${JSON.stringify(id)}`, {
    hint: 'see sealpost tokens list',
  });
}

/** A new token with the scope of an old one, which stays valid for a while. */
async function rotate(id: string, options: TokenOptions & { overlap: string }): Promise<void> {
  const overlap = readDuration(options.overlap);
  if (overlap === undefined) throw usage('--overlap: not a time', 'write it as 1d, or 0s');
  const expiresAt = expiryOf(options.expires);
  await withClients(await loadConfig(options.config), async ({ registry, change, queue }) => {
    const { client, note, scope } = tokenOf(registry.document, id);
    await queue.audit.add({ at: Date.now(), by: operator(), what: 'token-add', subject: client });
    const made = await registry.addCredential(client, { note, scope, expiresAt });
    const until = Date.now() + overlap;
    await change('token-revoke', id, (document) => {
      const old = tokenOf(document, id);
      old.expiresAt = Math.min(old.expiresAt ?? until, until);
    });
    if (options.json)
      return printJson({ id: made.id, token: made.text, client, expiresAt: isoOf(expiresAt) });
    printLine(made.text);
  });
}

export function tokensCommand(): Command {
  const command = new Command('tokens');
  const expires = ['--expires <time>', 'how long it is valid, such as 90d, or never', '365d'] as const;
  addGrantOptions(
    command
      .command('add')
      .argument('<client>')
      .description(
        'make a token, which is shown once; without a client of that name, one is made with these grants',
      ),
  )
    .option(...expires)
    .option('--note <text>', 'what it is for')
    .option('--json', 'print JSON')
    .action(addToken);
  command
    .command('list')
    .description('list the tokens, without their secrets')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(listTokens);
  command
    .command('rotate')
    .argument('<id>')
    .description('make a token with the scope of this one, which stays valid for the overlap')
    .addOption(configOption())
    .option(...expires)
    .option('--overlap <time>', 'how long the old token stays valid', '1d')
    .option('--json', 'print JSON')
    .action(rotate);
  command
    .command('revoke')
    .argument('<id>')
    .description('refuse a token from now on')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (id: string, options: Common) => {
      await withClients(await loadConfig(options.config), async ({ change }) => {
        await change('token-revoke', id, (document) => {
          const token = tokenOf(document, id);
          document.credentials = document.credentials.filter((each) => each !== token);
        });
        printDone(options, { revoked: id }, `token ${id} is refused from now on`);
      });
    });
  return command;
}
