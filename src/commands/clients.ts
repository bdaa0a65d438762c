/**
 * Who may use the doors for programs: clients with their grants, and their tokens. Each change is in the audit trail.
 */
import { Command } from 'commander';
import {
  type Acting,
  type ClientDesk,
  type ClientDocument,
  type ClientRegistry,
  checkNames,
  type Grants,
  type Limits,
  limitTexts,
  loadClientDesk,
  loadClients,
  noLimits,
  operatorClient,
  type Scope,
  verbs,
} from '../client/index.ts';
import { type Config, loadConfig, readDuration, readSize } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
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

interface LimitOptions {
  messagesPerMinute?: string;
  octetsPerMinute?: string;
  maxSize?: string;
}

type ClientOptions = GrantOptions & LimitOptions;

interface Opened {
  registry: ClientRegistry;
  desk: ClientDesk;
  acting: Acting;
  queue: QueueRoom;
}

async function withClients(config: Config, work: (opened: Opened) => Promise<void>): Promise<void> {
  await withQueue(config, async (queue) => {
    const { redis, prefix, seal, unseal, audit } = queue;
    const log = createLog('silent', 'command');
    const parts = { redis, prefix, seal, unseal, log, folder: config.dataDir, now: Date.now };
    const [{ ClientRegistry }, { ClientDesk }] = await Promise.all([loadClients(), loadClientDesk()]);
    const registry = await ClientRegistry.open(parts);
    const desk = new ClientDesk({ registry, audit, config, now: Date.now });
    await work({ registry, desk, acting: { client: operatorClient, by: operator() }, queue });
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
async function scopeOf(options: GrantOptions, config: Config): Promise<Scope> {
  const said = {
    verbs: listOf(options.scope),
    partners: namesOf(options.partner),
    mailboxes: namesOf(options.mailbox),
    senders: namesOf(options.sender),
    identities: namesOf(options.identity),
  };
  const { scopeSchema } = await loadClients();
  const scope = scopeSchema.safeParse(said);
  if (scope.success) {
    checkNames(scope.data, config);
    return scope.data;
  }
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

function limitsOf(options: LimitOptions): Partial<Limits> {
  const number = (text: string | undefined, name: string) => {
    if (text === undefined) return undefined;
    if (!/^\d{1,9}$/.test(text)) throw usage(`${name}: not a number`, 'write a whole number; 0 is no limit');
    return Number(text);
  };
  const octets = (text: string | undefined, name: string) => {
    if (text === undefined) return undefined;
    const read = text === '0' ? 0 : readSize(text);
    if (read === undefined) throw usage(`${name}: not a size`, 'write it as 10MiB; 0 is no limit');
    return read;
  };
  const messages = number(options.messagesPerMinute, '--messages-per-minute');
  const octetsAMinute = octets(options.octetsPerMinute, '--octets-per-minute');
  const size = octets(options.maxSize, '--max-size');
  return {
    ...(messages !== undefined && { messages }),
    ...(octetsAMinute !== undefined && { octets: octetsAMinute }),
    ...(size !== undefined && { size }),
  };
}

function pinsOf(pins: string[] | undefined): string[] | undefined {
  return pins?.map((pin) => {
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

function addClientOptions(command: Command): Command {
  return addLimitOptions(addGrantOptions(command)).option(
    '--pin <sha256>',
    'public key of a client certificate that logs in over TLS (may be repeated)',
    (pin, pins: string[] = []) => [...pins, pin],
  );
}

function addLimitOptions(command: Command): Command {
  return command
    .option('--messages-per-minute <number>', 'most messages a minute; 0 is no limit')
    .option('--octets-per-minute <size>', 'most octets a minute, such as 100MiB; 0 is no limit')
    .option('--max-size <size>', 'largest message, such as 10MiB; 0 is the limit of the door');
}

const textOf = (names: '*' | readonly string[]) => (names === '*' ? 'all' : names.join(',') || 'none');

function grantsText({ verbs, partners, mailboxes, senders, identities, limits }: Grants): string[] {
  return [
    `verbs       ${textOf(verbs)}`,
    `partners    ${textOf(partners)}`,
    `mailboxes   ${textOf(mailboxes)}`,
    `senders     ${textOf(senders)}`,
    `identities  ${textOf(identities)}`,
    ...limitTexts(limits).map((each) => `limit       ${each}`),
  ];
}

async function add(name: string, options: ClientOptions & { queue?: boolean }): Promise<void> {
  const { checkClientName } = await loadClientDesk();
  checkClientName(name);
  const config = await loadConfig(options.config);
  const scope = await scopeOf(options, config);
  const pins = pinsOf(options.pin);
  const limits = limitsOf(options);
  await withClients(config, async ({ desk, acting, queue }) => {
    const made = await desk.add(acting, name, { scope, limits, pins, queue: options.queue });
    if (!options.json || !options.queue) show(made, options);
    if (options.queue) printClientQueue(makeClientQueue(name, queue), options.json);
  });
}

async function grant(name: string, options: ClientOptions): Promise<void> {
  const config = await loadConfig(options.config);
  const scope = await scopeOf(options, config);
  const pins = pinsOf(options.pin);
  const limits = limitsOf(options);
  await withClients(config, async ({ desk, acting }) => {
    show(await desk.grant(acting, name, { scope, limits, pins }), options);
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
  addClientOptions(
    command.command('add').argument('<name>').description('add a client: a program that sends or reads'),
  )
    .option('--queue', 'it sends through a queue in Redis: print its user, password and key')
    .option('--json', 'print JSON')
    .action(add);
  addClientOptions(
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
      await withClients(await loadConfig(options.config), async ({ desk, acting, queue }) => {
        const client = await desk.grant(acting, name, { scope: {}, queue: true });
        const made = makeClientQueue(client.name, queue);
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
        const { clientOf } = await loadClients();
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
      await withClients(await loadConfig(options.config), async ({ desk, acting }) => {
        await desk.remove(acting, name);
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
      await withClients(await loadConfig(options.config), async ({ registry, queue, acting: { by } }) => {
        await queue.audit.add({ at: Date.now(), by, what: 'clients-accept' });
        await registry.change(() => undefined, true);
        const [clients, tokens] = [registry.document.clients.length, registry.document.credentials.length];
        printDone(options, { clients, tokens }, `${plural(clients, 'client')}, ${plural(tokens, 'token')}`);
      });
    });
  return command;
}

interface TokenOptions extends GrantOptions, LimitOptions {
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
  const scope = await scopeOf(options, config);
  const expiresAt = expiryOf(options.expires);
  const limits = limitsOf(options);
  await withClients(config, async ({ registry, desk, acting }) => {
    if (registry.trouble) throw registry.trouble;
    const exists = registry.document.clients.some((each) => each.name.toLowerCase() === name.toLowerCase());
    if (!exists) {
      const { checkClientName } = await loadClientDesk();
      checkClientName(name);
      if (scope.verbs === undefined || (scope.partners === undefined && scope.mailboxes === undefined))
        throw usage(
          `there is no client ${name}`,
          'to make one with this token, write --scope, and --partner or --mailbox',
        );
      await desk.add(acting, name, { scope });
    }
    const note = options.note ?? '';
    const facts = { note, scope: exists ? scope : {}, expiresAt, limits };
    const { id, text } = await desk.addToken(acting, name, facts);
    if (options.json) return printJson({ id, token: text, client: name, expiresAt: isoOf(expiresAt) });
    printLine(text);
  });
}

const isoOf = (at: number | null) => (at === null ? null : new Date(at).toISOString());

async function listTokens(options: Common): Promise<void> {
  await withClients(await loadConfig(options.config), async ({ desk, acting }) => {
    const now = Date.now();
    const tokens = await desk.tokens(acting);
    const rows = tokens.map(({ id, client, note, createdAt, expiresAt, scope, limits, usedAt }) => ({
      ...{ id, client, note, scope, limits: limits ?? noLimits },
      ...{ createdAt: isoOf(createdAt), expiresAt: isoOf(expiresAt) },
      lastUsedAt: isoOf(usedAt),
      state: expiresAt !== null && expiresAt <= now ? 'expired' : 'valid',
    }));
    if (options.json) return printJson(rows);
    for (const { id, client, state, expiresAt, lastUsedAt, limits, note } of rows)
      printLine(
        [
          id,
          client,
          state,
          expiresAt === null ? 'until revoked' : `until ${expiresAt}`,
          `used ${lastUsedAt ?? 'never'}`,
          ...limitTexts(limits),
          note,
        ]
          .filter(Boolean)
          .join('  '),
      );
  });
}

/** A new token with the scope of an old one, which stays valid for a while. */
async function rotate(id: string, options: TokenOptions & { overlap: string }): Promise<void> {
  const overlap = readDuration(options.overlap);
  if (overlap === undefined) throw usage('--overlap: not a time', 'write it as 1d, or 0s');
  const expiresAt = expiryOf(options.expires);
  await withClients(await loadConfig(options.config), async ({ desk, acting }) => {
    const made = await desk.rotateToken(acting, id, { expiresAt, overlap });
    if (options.json)
      return printJson({ id: made.id, token: made.text, client: made.client, expiresAt: isoOf(expiresAt) });
    printLine(made.text);
  });
}

export function tokensCommand(): Command {
  const command = new Command('tokens');
  const expires = ['--expires <time>', 'how long it is valid, such as 90d, or never', '365d'] as const;
  addLimitOptions(
    addGrantOptions(
      command
        .command('add')
        .argument('<client>')
        .description(
          'make a token, which is shown once; without a client of that name, one is made with these grants',
        ),
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
    .description('make a token with the scope and limits of this one, which stays valid for the overlap')
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
      await withClients(await loadConfig(options.config), async ({ desk, acting }) => {
        await desk.revokeToken(acting, id);
        printDone(options, { revoked: id }, `token ${id} is refused from now on`);
      });
    });
  return command;
}
