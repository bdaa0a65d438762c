/**
 * Our reading of the header fields against mailparser's and Python's email package's (where there is a Python). Where
 * ours finds no fault, all find the same addresses. What is allowed to differ, and why that is harmless:
 * - a list with a fault: it is refused where the sender matters, and addresses of it are not judged;
 * - a source route, or white space and comments within an address (RFC 5322, section 4.4): the other parsers do not
 *   take these apart, so they are not generated here; our reading alone is handed off;
 * - white space in a subject, which nobody decides by;
 * - a letter of ISO-2022-JP that is split over two encoded words, against RFC 2047, section 5: mailparser joins them.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type AddressObject, simpleParser } from 'mailparser';
import {
  comparableAddress,
  isKnown,
  parseHeaders,
  readAddressList,
  readMailHeader,
} from '../../src/message/index.ts';
import { skipWithout } from '../support/world.ts';

const corpora = '/work/shared/corpora';

function keysOf(list: AddressObject | AddressObject[] | undefined): string[] {
  const flat = (entry: {
    address?: string | undefined;
    group?: { address?: string | undefined }[] | undefined;
  }): string[] =>
    entry.group === undefined ? [comparableAddress(entry.address ?? '') ?? ''] : entry.group.flatMap(flat);
  return [list ?? []]
    .flat()
    .flatMap(({ value }) => value.flatMap(flat))
    .filter((key) => key !== '');
}

/** White space and what a charset has no letter for say nothing about who, and are shown by each in its own way. */
const plain = (text: string | null | undefined) => (text ?? '').replace(/[\s\uFFFD]+/gu, '');

const word = fc.constantFrom('Orders', 'A.', '"Doe, John"', '"a@p.example"', '=?utf-8?Q?J=C3=BCrgen?=');
const address = fc.constantFrom('a@a.example', 'b.c@A.example', 'x+y@b.example', '"q"@a.example');
const mailbox = fc.oneof(
  address,
  fc
    .tuple(fc.array(word, { minLength: 1, maxLength: 3 }), address)
    .map(([words, spec]) => `${words.join(' ')} <${spec}>`),
  address.map((spec) => `${spec} (a comment)`),
);
const element = fc.oneof(
  { weight: 4, arbitrary: mailbox },
  {
    weight: 1,
    arbitrary: fc.array(mailbox, { minLength: 1, maxLength: 3 }).map((list) => `Team: ${list.join(', ')};`),
  },
);
const list = fc
  .tuple(fc.array(element, { minLength: 1, maxLength: 4 }), fc.constantFrom(', ', ',', ',\r\n '))
  .map(([all, comma]) => all.join(comma));

async function theirs(header: Buffer) {
  return simpleParser(header, { skipTextToHtml: true, skipHtmlToText: true });
}

describe('header fields, read by several parsers', () => {
  it('give the same addresses, generated lists', async () => {
    await fc.assert(
      fc.asyncProperty(list, list, async (from, to) => {
        const header = Buffer.from(
          `From: ${from}\r\nTo: ${to}\r\nCc: ${to}\r\nSubject: =?utf-8?Q?J=C3=BC?= x\r\nMessage-ID: <1@x.example>\r\nDate: Mon, 23 Nov 2026 01:00:00 +0100\r\n\r\n`,
        );
        const ours = readMailHeader(parseHeaders(header));
        assert.equal(ours.authors.fault, undefined);
        const parsed = await theirs(header);
        const keys = (value: string) =>
          readAddressList(value.replaceAll('\r\n', ''))
            .addresses.filter(isKnown)
            .map(({ key }) => key);
        assert.deepEqual(keysOf(parsed.from), keys(from));
        assert.deepEqual(keysOf(parsed.to), keys(to));
        assert.deepEqual(keysOf(parsed.cc), keys(to));
        assert.equal(parsed.subject, ours.json.subject);
        assert.equal(parsed.messageId, ours.json.messageId);
        assert.equal(parsed.date?.toISOString(), ours.json.date);
      }),
      { numRuns: 150 },
    );
  });

  it('give the same addresses as Python, generated lists', { skip: skipWithout('python3') }, () => {
    const values = fc.sample(list, 200).map((value) => value.replaceAll('\r\n', ''));
    const script = `import sys, json
from email.headerregistry import HeaderRegistry
make = HeaderRegistry()
print(json.dumps([[[a.username, a.domain] for a in make('From', v).addresses] for v in json.load(sys.stdin)]))`;
    const { stdout, stderr, status } = spawnSync('python3', ['-c', script], {
      input: JSON.stringify(values),
    });
    assert.equal(status, 0, stderr.toString());
    const read: [string, string][][] = JSON.parse(stdout.toString());
    values.forEach((value, index) => {
      const ours = readAddressList(value)
        .addresses.filter(isKnown)
        .map(({ key }) => key);
      assert.deepEqual(
        read[index]?.map(([user, domain]) => `${user}@${domain.toLowerCase()}`),
        ours,
        value,
      );
    });
  });

  it('give the same, in the mails of the corpora', { skip: !existsSync(corpora) }, async (context) => {
    const differs: string[] = [];
    let compared = 0;
    for (const file of globSync('**/*.eml', { cwd: corpora })) {
      const octets = readFileSync(`${corpora}/${file}`);
      const end =
        octets.indexOf('\r\n\r\n') < 0 ? octets.indexOf('\n\n') + 2 : octets.indexOf('\r\n\r\n') + 4;
      const header = octets.subarray(0, end);
      const { authors, json } = readMailHeader(parseHeaders(header));
      if (authors.fault !== undefined) continue;
      compared++;
      const parsed = await theirs(header);
      const ours = authors.from.filter(isKnown).map(({ key }) => key);
      if (keysOf(parsed.from).join() !== ours.join()) differs.push(`${file}: From`);
      if ((parsed.messageId ?? null) !== json.messageId) differs.push(`${file}: Message-ID`);
      const split = /\?=\s+=\?iso-2022-jp\?/i.test(header.toString('latin1'));
      if (!split && plain(parsed.subject) !== plain(json.subject)) differs.push(`${file}: Subject`);
    }
    context.diagnostic(`${compared} mails compared`);
    assert.deepEqual(differs, []);
  });
});
