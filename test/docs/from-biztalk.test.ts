/**
 * docs/from-biztalk.md has a row for every property of the MIME/SMIME decoder and encoder and of the adapters for mail,
 * as Microsoft's documentation and public binding files name them, and the settings in its rows exist.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/from-biztalk.md'), 'utf8');

/** First and second cells of the tables below a heading. */
function rowsOf(heading: string): [string, string][] {
  const section = page.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? '';
  return section
    .split('\n')
    .filter((line) => /^\| (?!---|BizTalk setting)/.test(line))
    .map((line) => {
      const [, first = '', ...others] = line.split(/(?<!\\)\|/);
      return [first.trim(), others.join('|')];
    });
}

const properties = {
  Decoder: ['allow non mime message', 'body part content type', 'body part index', 'check revocation list'],
  'POP3 and Office 365 adapters': [
    ...['mail server', 'port', 'ssl', 'user name', 'password', 'authentication scheme', 'mime decoding'],
    ...['body part content type and index', 'error threshold', 'polling interval and its unit'],
    ...['subject', 'from', 'to', 'replyto', 'cc', 'date', 'headers', 'disposition-notification-to'],
    ...['email address', 'folder', 'start from', 'unread mails only', 'post action', 'deliver mime'],
    ...[
      'process content',
      'include attachments',
      'importance',
      'sender name',
      'sender address',
      'has attachments',
    ],
  ],
  'Encoder and sending': [
    ...['enable encryption', 'encryption algorithm', 'signature type', 'add signing certificate'],
    ...['check revocation list', 'content transfer encoding', 'send body part as attachment'],
    ...['smtp server', 'authentication', 'user name', 'password', 'from', 'to', 'cc', 'subject', 'reply-by'],
    ...[
      'read receipt',
      'delivery receipt',
      'body from a text or a file',
      'charset of the text and of the file',
    ],
    ...[
      'attachments from files',
      'message parts as attachments',
      'importance',
      'attach message parts, files',
    ],
    ...['maximum concurrent sends', 'retry count', 'interval', 'backup transport', 'service windows'],
    ...['priority', 'ordered delivery'],
  ],
};

/** All settings, without the brackets of lists; docs/settings.md is made from the schema. */
const settings = readFileSync(resolve(import.meta.dirname, '../../docs/settings.md'), 'utf8');
const known = [...settings.matchAll(/^\| `([^`]+)` \|/gm)].map(
  ([, name = '']) => `.${name.replaceAll('[]', '')}`,
);

describe('docs/from-biztalk.md', () => {
  for (const [heading, all] of Object.entries(properties))
    it(`has a row for each property: ${heading}`, () => {
      const cells = rowsOf(heading).map(([first]) => first.toLowerCase());
      const missing = all.filter(
        (each) => !cells.some((cell) => new RegExp(`(?:^|[^a-z])${each}(?![a-z])`).test(cell)),
      );
      assert.deepEqual(missing, []);
    });

  it('names settings that exist', () => {
    const rows = Object.keys(properties).flatMap(rowsOf);
    const spans = rows.flatMap(([, second]) => [
      ...second.matchAll(/`([a-z][A-Za-z0-9]*(?:(?:\[\])?\.[A-Za-z0-9]+)+)/g),
    ]);
    const paths = spans
      .map(([, span = '']) => span.replaceAll('[]', ''))
      .filter((span) => !/^(?:message\.eml|verdict\.|parts\.json)/.test(span));
    assert.ok(paths.length > 20, `${paths.length}`);
    assert.deepEqual(
      paths.filter((path) => !known.some((each) => each.endsWith(`.${path}`))),
      [],
    );
  });
});
