import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { SMTPServerSession } from 'smtp-server';
import { SealpostError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { HeaderFinder } from '../../src/message/header-finder.ts';
import { readMailHeader, readMessageId } from '../../src/message/mail-header.ts';
import type { Connection } from '../../src/smtp/connection.ts';
import { Gate } from '../../src/smtp/gate.ts';
import { LineEnds } from '../../src/smtp/line-ends.ts';
import { Recipients } from '../../src/smtp/mailboxes.ts';
import { replyFor } from '../../src/smtp/replies.ts';
import { Session } from '../../src/smtp/session.ts';

describe('line ends', () => {
  it('finds a bare CR or LF as a regular expression does, wherever the octets are cut or lie', () => {
    const piece = fc.constantFrom(
      '\r\n',
      '\r',
      '\n',
      'a',
      '.',
      '\0',
      '\x0d\x0b',
      '\x0e',
      '\xff',
      'long enough text',
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(40), { maxLength: 5 }),
        fc.nat(7),
        (pieces, cuts, offset) => {
          const text = pieces.join('');
          const octets = Buffer.concat([Buffer.alloc(offset), Buffer.from(text, 'latin1')]).subarray(offset);
          const lineEnds = new LineEnds();
          const at = [
            0,
            ...cuts.map((cut) => Math.min(cut, octets.length)).sort((a, b) => a - b),
            octets.length,
          ];
          for (let index = 1; index < at.length; index++)
            lineEnds.push(octets.subarray(at[index - 1], at[index]));
          assert.equal(lineEnds.end(), /\r(?!\n)|(?<!\r)\n/.test(text), JSON.stringify(text));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('recipients', () => {
  const recipients = new Recipients([
    { name: 'one', addresses: ['Sales@example.com', 'other@bücher.example'] },
    { name: 'two', addresses: ['sales@example.com', '@sub.example.com', 'postmaster'] },
  ]);

  it('prefers the exact local part, then any case, then the domain', () => {
    const cases: [string, string][] = [
      ['Sales@example.com', 'one'],
      ['sales@EXAMPLE.com', 'two'],
      ['SALES@example.com', 'one'],
      ['"sales"@example.com', 'two'],
      ['whoever@Sub.Example.COM', 'two'],
      ['other@xn--bcher-kva.example', 'one'],
      ['OTHER@BÜCHER.example', 'one'],
      ['Postmaster', 'two'],
    ];
    for (const [address, mailbox] of cases) assert.equal(recipients.find(address), mailbox, address);
  });

  it('knows nobody else', () => {
    for (const address of [
      'sales@sub2.example.com',
      'a@x.sub.example.com',
      'postmaster@example.com',
      'sales@example.com.evil.example',
    ]) {
      assert.throws(() => recipients.find(address), { code: 'mailbox-unknown' }, address);
    }
    for (const address of [
      'sales',
      'sales@',
      '@sub.example.com',
      'a@b@sub.example.com',
      'a b@sub.example.com',
    ]) {
      assert.throws(() => recipients.find(address), { code: 'address-invalid' }, address);
    }
  });
});

describe('gate', () => {
  it('counts an IPv6 client by its network, and lets the next in when one leaves', () => {
    const gate = new Gate(10, 1);
    const first = gate.enter('2001:db8:0:1::1');
    assert.ok('leave' in first);
    assert.ok('refusal' in gate.enter('2001:0db8::1:ffff:0:0:2'), 'the same /64');
    assert.ok('leave' in gate.enter('2001:db8:0:2::1'), 'another /64');
    assert.ok('leave' in gate.enter('192.0.2.1'));
    first.leave();
    assert.ok('leave' in gate.enter('2001:db8:0:1::2'));
  });

  it('leaves a fifth to each kind of listener, where there are both', () => {
    for (const [kind, other] of [
      ['mx', 'submission'],
      ['submission', 'mx'],
    ] as const) {
      const gate = new Gate(10, 10, true);
      const entries = Array.from({ length: 8 }, (_, at) => gate.enter(`192.0.2.${at}`, kind));
      assert.ok(entries.every((entry) => 'leave' in entry));
      assert.ok('refusal' in gate.enter('192.0.2.100', kind), 'the ninth');
      assert.ok('leave' in gate.enter('192.0.2.101', other));
      assert.ok('leave' in gate.enter('192.0.2.102', other));
      assert.ok('refusal' in gate.enter('192.0.2.103', other), 'the eleventh in all');
      const [first] = entries;
      assert.ok(first && 'leave' in first);
      first.leave();
      assert.ok('leave' in gate.enter('192.0.2.100', kind));
    }
    const small = new Gate(1, 1, true);
    assert.ok('leave' in small.enter('192.0.2.1', 'submission'), 'one place is for either');
    const alone = new Gate(10, 10);
    for (let at = 0; at < 10; at++) assert.ok('leave' in alone.enter(`192.0.2.${at}`));
  });
});

describe('a transaction', () => {
  const begun = (requireTls: boolean, draining: boolean, secure: boolean, address = 'a@example.org') => {
    const gate = new Gate(10, 10);
    gate.draining = draining;
    const session = new Session({
      acceptance: {
        refuseMail: () => undefined,
        sender: () => undefined,
        recipient: () => assert.fail(),
        begin: () => assert.fail(),
      },
      intake: {},
      log: createLog('silent', 'test'),
      gate,
      requireTls,
      maxRecipients: 1,
      limits: { maxSize: 1, timeout: 1, minimumRate: 1, storeTimeout: 1 },
    });
    let answer: string | undefined;
    const smtp = { secure } as SMTPServerSession;
    session.register({ session: smtp } as Connection);
    session.mail({ address, args: {} }, smtp, (error) => {
      answer = error?.message ?? 'ok';
    });
    return answer?.slice(0, 9);
  };
  it('is not begun while the service is being stopped, nor without TLS where that is required', () => {
    assert.equal(begun(false, false, false), 'ok');
    assert.equal(begun(true, false, true), 'ok');
    assert.match(begun(false, true, true) ?? '', /4\.3\.2/);
    assert.match(begun(true, false, false) ?? '', /5\.7\.0/);
    assert.equal(begun(false, false, false, ''), 'ok', 'the null sender');
    assert.match(begun(false, false, false, 'a b@example.org') ?? '', /5\.1\.7/);
  });
});

describe('replies', () => {
  it('never repeats what an error says', () => {
    for (const code of ['redis-full', 'spool-write', 'internal', 'mailbox-unknown'] as const) {
      const reply = replyFor(new SealpostError(code, 'private'));
      assert.doesNotMatch(reply.text, /private/);
      assert.equal(String(reply.code)[0], reply.enhanced[0]);
    }
    assert.equal(replyFor('anything').code, 451);
  });
});

describe('message id', () => {
  const find = (text: string, step = text.length) => {
    const finder = new HeaderFinder();
    for (let at = 0; at < text.length; at += step) finder.push(Buffer.from(text.slice(at, at + step)));
    const headers = finder.end();
    if (headers === undefined) return null;
    assert.equal(readMailHeader(headers).json.messageId, readMessageId(headers), 'as it is handed off');
    return readMessageId(headers);
  };

  it('is found in the header only, folded or in pieces', () => {
    const header = 'Subject: a\r\nmessage-ID:\r\n <x.1@example.org>\r\nTo: b\r\n\r\n';
    for (const step of [1, 2, 7, 1000]) assert.equal(find(header, step), '<x.1@example.org>');
    assert.equal(find('Subject: a\r\n\r\nMessage-ID: <body@example.org>\r\n'), null);
    const read: [string, string | null][] = [
      ['Message-ID : <blank@example.org>', '<blank@example.org>'],
      ['Message-ID: <1@example.org>\r\nMessage-ID: <2@example.org>', '<1@example.org>'],
      ['Message-ID: none\r\nMessage-ID: <2@example.org>', null],
      ['Message-ID: (hidden) <1@example.org>', null],
      ['X: y\r\n Message-ID: <folded@example.org>', null],
      ['Message-ID: <a b@example.org>', null],
      ['Message-ID: <>', null],
    ];
    for (const [header, id] of read) assert.equal(find(`${header}\r\n\r\nx`, 5), id, header);
    assert.equal(find('Message-ID: <no end\r\n\r\n'), null);
    assert.equal(find(`X: ${'y'.repeat(110_000)}\r\nMessage-ID: <far@example.org>\r\n\r\n`, 1000), null);
  });
});
