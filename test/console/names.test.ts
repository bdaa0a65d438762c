/** What the console does is an operation of the API and a command, with the same names. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { wholeTree } from '../../src/commands/program.ts';
import { allOf } from '../../src/commands/tree.ts';

const root = resolve(import.meta.dirname, '../..');

/** Operations with the command that does the same. */
const commands: Readonly<Record<string, string>> = {
  ...{ getOverview: 'top', followEvents: 'top', listSuspended: 'messages list', getSetup: 'check' },
  ...{ startCheck: 'check', getCheck: 'check' },
  ...{ listMessages: 'messages list', searchMessages: 'messages list', getMessage: 'messages show' },
  ...{ getVerdict: 'messages show', getOriginal: 'messages save', getContent: 'decode' },
  ...{ resumeMessage: 'messages resume', retryMessage: 'messages retry' },
  ...{ terminateMessage: 'messages terminate', decodeMessageAgain: 'messages decode' },
  ...{ previewActs: 'messages resume --dry-run', actOnMessages: 'messages resume --reason' },
  ...{ previewReplay: 'messages replay --dry-run', replayMessages: 'messages replay' },
  ...{ listPartners: 'partners list', getPartner: 'partners show', getReadiness: 'partners matrix' },
  ...{ submitMessage: 'partners test', listCertificates: 'certs list', getCertificate: 'certs show' },
  ...{ approveCertificate: 'certs approve', rejectCertificate: 'certs reject' },
  ...{ revokeCertificate: 'certs revoke', listMailboxes: 'mailboxes list', listRoutes: 'routes list' },
  ...{ pauseMailbox: 'mailboxes pause', resumeMailbox: 'mailboxes resume', pollMailbox: 'mailboxes poll' },
  ...{ pausePartner: 'routes pause', resumePartner: 'routes resume' },
  ...{ pauseDestination: 'routes pause', resumeDestination: 'routes resume' },
  ...{ listAlerts: 'alerts list', silenceAlerts: 'alerts silence', unsilenceAlerts: 'alerts unsilence' },
  ...{ testAlerts: 'alerts test', listUsers: 'users list', addUser: 'users add', changeUser: 'users change' },
  ...{ resetUser: 'users reset', disableUser: 'users disable', enableUser: 'users enable' },
  ...{ endUserSessions: 'users end-sessions', removeUser: 'users remove', listUserLogins: 'users logins' },
  ...{ listClients: 'clients list', addClient: 'clients add', grantClient: 'clients grant' },
  ...{ removeClient: 'clients remove', listTokens: 'tokens list', addToken: 'tokens add' },
  ...{ rotateToken: 'tokens rotate', revokeToken: 'tokens revoke' },
};

describe('what the console does', () => {
  const document = JSON.parse(readFileSync(join(root, 'docs/openapi.json'), 'utf8'));
  const operations = new Set<unknown>(
    Object.values<object>(document.paths).flatMap((path) =>
      Object.values<{ operationId?: unknown }>({ ...path }).map(({ operationId }) => operationId),
    ),
  );

  it('is an operation of the API, and has a command', () => {
    const folder = join(root, 'src/console/pages');
    const text = readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('\n');
    const called = [...text.matchAll(/'([a-z]+[A-Z]\w+)'/g)].flatMap(([, name = '']) =>
      operations.has(name) ? [name] : [],
    );
    assert.ok(called.length > 40, `${called.length}`);
    assert.deepEqual(
      [...new Set(called)].filter((name) => !Object.hasOwn(commands, name)),
      [],
    );
    assert.deepEqual(
      Object.keys(commands).filter((name) => !operations.has(name)),
      [],
    );
  });

  it('has commands that exist, with their options', async () => {
    const nodes = new Map(allOf(await wholeTree()).map((node) => [node.path, node]));
    for (const [operation, command] of Object.entries(commands)) {
      const [path = '', option] = command.split(/ (?=--)/);
      const node = nodes.get(path);
      assert.ok(node, `${operation}: ${path}`);
      if (option !== undefined)
        assert.ok(
          node.options.some(({ long }) => long === option),
          command,
        );
    }
  });
});
