/**
 * docs/from-biztalk.md has a row for every property of the MIME/SMIME decoder and encoder and of the adapters for mail,
 * as Microsoft's documentation and public binding files name them, and the settings in its rows exist.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { handoffDocument } from '../../src/documents/index.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/from-biztalk.md'), 'utf8');

/** First and second cells of the tables below a heading. */
function rowsOf(heading: string): [string, string][] {
  const section = page.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? '';
  return section
    .split('\n')
    .filter((line) => /^\| (?!---)/.test(line))
    .map((line) => {
      const [, first = '', ...others] = line.split(/(?<!\\)\|/);
      return [first.trim(), others.join('|').trim()];
    });
}

/** Microsoft's lists, by the names there: MicrosoftDocs/biztalk-docs, folder biztalk/core. */
const properties = {
  // how-to-configure-the-mime-smime-decoder-pipeline-component.md
  'MIME/SMIME decoder': [
    'Allow Non MIME Message',
    'Body part content type',
    'Body part index',
    'Check Revocation List',
  ],
  'POP3 adapter': [
    // how-to-configure-a-pop3-receive-location.md
    ...['Apply MIME Decoding', 'Body Part Content Type', 'Body Part Index', 'Mail Server', 'Port'],
    ...['Authentication Scheme', 'Password', 'Use SSL', 'User Name', 'Error Threshold'],
    ...['Polling Interval', 'Polling Interval Unit'],
    // pop3-adapter-property-schema-and-properties.md
    ...['Subject', 'From', 'To', 'ReplyTo', 'CC', 'Date', 'DispositionNotificationTo', 'Headers'],
  ],
  'MIME/SMIME encoder': [
    // how-to-configure-the-mime-smime-encoder-pipeline-component.md
    ...['Add Signing Cert To Message', 'Check revocation list', 'Content transfer encoding'],
    ...['Enable encryption', 'Encryption algorithm', 'Send body part as attachment', 'Signature Type'],
    // mime-smime-property-schema-and-properties.md
    ...['FileName', 'ContentID', 'ContentDescription', 'ContentTransferEncoding', 'ContentLocation'],
    ...['PassThroughBTF', 'IsMIMEEncoded', 'IsMultipartRelated', 'ContentType'],
    ...['ContentTypeSecondaryHeader', 'ContentTypeSecondaryHeaderValue'],
    ...['PartContentTypeSecondaryHeader', 'PartContentTypeSecondaryHeaderValue'],
  ],
  // smtp-adapter-property-schema-and-properties.md, smtp-adapter-configuration-properties.md
  'SMTP adapter': [
    ...['To', 'CC', 'Subject', 'From', 'ReadReceipt', 'DeliveryReceipt', 'EmailBodyText'],
    ...['EmailBodyTextCharset', 'EmailBodyFile', 'EmailBodyFileCharset', 'Attachments'],
    ...['MessagePartsAttachments', 'ReplyBy', 'SMTPHost', 'SMTPAuthenticate', 'Username', 'Password'],
  ],
  // office365-mail-adapter.md
  'Office 365 Outlook Email adapter': [
    ...['Sign in', 'Folder', 'Start from', 'Unread mails only', 'Post Action', 'Deliver MIME'],
    ...['Process content', 'Include attachments', 'ReceivedMailImportance', 'ReceivedMailSubject'],
    ...['SenderName', 'SenderAddress', 'HasAttachments', 'To', 'CC', 'Subject', 'Importance'],
    ...['Attach BizTalk message parts', 'Files', 'AttachedFiles', 'Maximum concurrent sends'],
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
      const rows = new Map(rowsOf(heading));
      const missing = all.filter((each) => (rows.get(each) ?? '') === '');
      assert.deepEqual(missing, []);
    });

  it('names settings that exist', () => {
    const rows = Object.keys(properties).flatMap(rowsOf);
    const spans = rows.flatMap(([, second]) => [
      ...second.matchAll(/`([a-z][A-Za-z0-9]*(?:(?:\[\])?\.[A-Za-z0-9]+)+)/g),
    ]);
    const paths = spans
      .map(([, span = '']) => span.replaceAll('[]', ''))
      .filter((span) => !/^(?:message\.eml|verdict\.|parts\.json|headers\.|attachments\.)/.test(span));
    assert.ok(paths.length > 20, `${paths.length}`);
    assert.deepEqual(
      paths.filter((path) => !known.some((each) => each.endsWith(`.${path}`))),
      [],
    );
    const fields = spans.flatMap(([, span = '']) => /^headers\.(\w+)/.exec(span)?.[1] ?? []);
    assert.ok(fields.length > 5, `${fields.length}`);
    const { headers } = handoffDocument.shape;
    assert.deepEqual(
      fields.filter((each) => !Object.hasOwn(headers.shape, each)),
      [],
    );
  });
});
