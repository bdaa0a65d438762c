/** The figures that stand in the documentation as text are those of the code. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { MAX_LINES, MAX_OCTETS, MAX_WORDS, PIECE_FACTOR } from '../../src/imap/watch.ts';
import { MAX_ERRORS, MAX_IDLE_COMMANDS } from '../../src/smtp/connection.ts';
import { MAX_CLIENTS, EVERY as REFUSALS_EVERY } from '../../src/smtp/refusal-log.ts';
import { replies } from '../../src/smtp/replies.ts';
import { STORE_TIMEOUT } from '../../src/smtp/server.ts';

const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8').replace(
  /\s+/g,
  ' ',
);

describe('docs/operations.md', () => {
  const says = (text: string) => assert.ok(operations.includes(text), `it does not say: ${text}`);

  it('has the limits of the SMTP receiver', () => {
    says(`${MAX_ERRORS} errors in a row`);
    says(`${MAX_IDLE_COMMANDS} commands in a row that do not advance a message`);
    says(`${STORE_TIMEOUT / 1000} seconds without an answer`);
    says(`For each kind, ${MAX_CLIENTS} clients get lines of their own`);
    assert.equal(REFUSALS_EVERY, 60_000, 'one line a minute');
  });

  it('has the limits for IMAP servers', () => {
    says(
      `More than ${MAX_LINES.toLocaleString('en')} lines or ${MAX_OCTETS / 2 ** 20} MiB instead of an answer`,
    );
    says(`cut to ${MAX_WORDS} characters`);
    assert.equal(PIECE_FACTOR, 5, 'a chunk of a message five times that');
  });

  it('lists every reply of the table', () => {
    for (const { code, enhanced } of replies()) says(`${code} ${enhanced}`);
  });
});
