/**
 * A decoded mail goes on to a mail server: what its author writes must not pass for our word, must not go where the
 * author wants, and must not become a second message on the way.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { DestinationConfig } from '../../src/config/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createDestination, type Destination } from '../../src/handoff/index.ts';
import type { JsonValue } from '../../src/handoff/types.ts';
import { crlf, delivery, deps, never } from '../handoff/support.ts';
import { type KeepingServer, readMail, startKeepingServer } from '../support/mail-server.ts';

let server: KeepingServer;
before(async () => {
  server = await startKeepingServer();
});
after(() => server.close());
beforeEach(() => {
  server.kept.splice(0);
  server.commands.splice(0);
});

const made: Destination[] = [];
after(async () => {
  for (const each of made) await each.close();
});

function destinationOf(settings: Record<string, unknown> = {}): DestinationConfig {
  const config = configSchema.parse({
    mailboxes: [
      {
        name: 'edi',
        addresses: ['edi@example.com'],
        destinations: [
          {
            type: 'smtp',
            host: '127.0.0.1',
            port: server.port,
            tls: 'none',
            recipients: ['a@erp.example'],
            ...settings,
          },
        ],
      },
    ],
  });
  const [destination] = config.mailboxes[0]?.destinations ?? [];
  assert.ok(destination);
  return destination;
}

async function handOff(
  content: Buffer | string,
  {
    settings = {},
    changes = {},
  }: { settings?: Record<string, unknown>; changes?: Parameters<typeof delivery>[1] } = {},
) {
  const destination = await createDestination(destinationOf(settings), deps());
  made.push(destination);
  const outcome = await destination.deliver(delivery(Buffer.from(content), changes), never);
  return { outcome, kept: [...server.kept] };
}

const verdict: JsonValue = {
  ...{ version: 1, status: 'ok', encrypted: true, signature: 'valid', integrity: 'signed' },
  sender: { partner: 'acme', by: 'signature', from: [], sender: null },
  layers: [
    {
      type: 'signed-data',
      signers: [{ valid: true, trusted: true, emails: ['edi@acme.example'], reason: null }],
    },
  ],
};

describe('a mail that is signed by one partner, in the name of another', () => {
  it('goes to the recipient of neither', async () => {
    const settings = { recipients: ['{partner}@erp.example'] };
    const outer = 'From: a@acme.example\r\nContent-Type: application/pkcs7-mime\r\n\r\n';
    const content = 'Content-Type: text/plain\r\n\r\nan order\r\n';
    for (const [by, expected] of [
      ['signature', 'acme@erp.example'],
      ['conflict', 'unknown@erp.example'],
    ] as const) {
      const changes = {
        header: Buffer.from(outer),
        verdict: { ...verdict, sender: { partner: 'acme', by, from: [], sender: null } },
      };
      const { outcome, kept } = await handOff(content, { settings, changes });
      assert.ok('done' in outcome, JSON.stringify(outcome));
      assert.deepEqual(
        kept.slice(-1).flatMap(({ to }) => to),
        [expected],
      );
    }
  });
});

describe('fields that pass for ours', () => {
  const forged = [
    'Authentication-Results: own.example; smime=pass body.smime-identifier="ceo@other.example"',
    'authentication-results : own.example; smime=pass',
    'X-Sealpost-Signature: valid',
    'X-SEALPOST-PARTNER\t: other',
    'X-Sealpost-Anything: new',
    'Return-Path: <ceo@other.example>',
  ];
  const ours = new Set(['authentication-results', 'return-path']);
  const claims = (octets: Buffer) =>
    readMail(octets).fields.filter(([name]) => ours.has(name) || name.startsWith('x-sealpost-'));
  const expected = [
    ['authentication-results', 'own.example; smime=pass body.smime-identifier="edi@acme.example"'],
    ['x-sealpost-id', 'm-0001'],
    ['x-sealpost-idempotency-key', 'm-0001:orders'],
    ['x-sealpost-mailbox', 'edi'],
    ['x-sealpost-partner', 'acme'],
    ['x-sealpost-partner-by', 'signature'],
    ['x-sealpost-encrypted', 'yes'],
    ['x-sealpost-signature', 'valid'],
    ['x-sealpost-integrity', 'signed'],
    ['x-sealpost-trace', 'trace-of-edi'],
  ];
  const entity = 'Content-Type: text/plain\r\n\r\nan order\r\n';
  const outer = 'From: a@acme.example\r\nSubject: x\r\nContent-Type: application/pkcs7-mime\r\n';

  for (const [place, header, content, more] of [
    ['the outer header', `${forged.join('\r\n')}\r\n${outer}\r\n`, entity, {}],
    ['the protected header', `${outer}\r\n`, `${forged.join('\r\n')}\r\n${entity}`, {}],
    [
      'the header of a wrapped mail',
      `${outer}\r\n`,
      `Content-Type: message/rfc822; forwarded=no\r\n\r\n${forged.join('\r\n')}\r\nFrom: a@acme.example\r\n${entity}`,
      { verdict: { ...verdict, headers: { protection: 'wrapped' } } },
    ],
    [
      'a mail that was not S/MIME',
      '',
      `${forged.join('\r\n')}\r\nFrom: a@acme.example\r\n${entity}`,
      { whole: true },
    ],
  ] as const)
    it(`are left out: ${place}`, async () => {
      const changes = { header: Buffer.from(header), verdict, ...more };
      const { outcome, kept } = await handOff(content, { changes });
      assert.ok('done' in outcome, JSON.stringify(outcome));
      const [mail] = kept;
      assert.ok(mail);
      assert.deepEqual(claims(mail.octets), expected);
      assert.doesNotMatch(mail.octets.toString(), /other\.example|Anything/);
    });

  it('stay in a mail that is attached: that one says of itself what it likes', async () => {
    const attached = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n${forged[2]}\r\n\r\nx\r\n--b--\r\n`;
    const { kept } = await handOff(attached, { changes: { verdict } });
    assert.match(kept[0]?.octets.toString() ?? '', /X-Sealpost-Signature: valid\r\n\r\nx/);
  });

  it('a verdict that is not good says so, whatever the names in it are', async () => {
    const signers = [
      { valid: false, trusted: false, emails: ['a"@x.example', 'b@x.example'], reason: 'digest) body.x="y' },
      { valid: true, trusted: false, emails: ['kein\r\nX: y'], reason: null },
    ];
    const bad = {
      ...verdict,
      signature: 'invalid',
      sender: null,
      layers: [{ type: 'signed-data', signers }],
    };
    const { kept } = await handOff(entity, { changes: { verdict: bad } });
    const [results] = claims(kept[0]?.octets ?? Buffer.alloc(0));
    assert.equal(
      results?.[1],
      'own.example; smime=fail (invalid, digest__body.x=_y) body.smime-identifier="a\\"@x.example"; smime=fail (untrusted)',
    );
    const none = await handOff(entity, { changes: { verdict: { status: 'ok', layers: [] } } });
    assert.match(
      none.kept.at(-1)?.octets.toString() ?? '',
      /^Authentication-Results: own\.example;\r\n smime=none\r\n/,
    );
  });
});

describe('a mail that wants to be relayed', () => {
  const entity = (to: string) => `To: ${to}\r\nContent-Type: text/plain\r\n\r\nx\r\n`;
  const all = { recipients: ['{to}'], allow: ['@erp.example', '@*.erp.example'] };

  it('goes to allowed recipients only', async () => {
    const to =
      'x@evil.example, b@erp.example, c@sub.erp.example, d@erp.example.evil.example, "e@erp.example"@evil.example';
    const { outcome, kept } = await handOff(entity(to), { settings: all });
    assert.ok('done' in outcome, JSON.stringify(outcome));
    assert.deepEqual(kept[0]?.to, ['b@erp.example', 'c@sub.erp.example']);
  });

  it('goes nowhere if none is allowed, and the server is not called', async () => {
    const before = server.connections();
    for (const [to, settings] of [
      ['x@evil.example', all],
      ['x@erp.example%evil.example', all],
      ['', all],
      ['b@erp.example', { recipients: ['{recipient}'], allow: ['@erp.example'] }],
    ] as const) {
      const { outcome } = await handOff(entity(to), { settings });
      assert.ok('suspend' in outcome, to);
      assert.equal(outcome.suspend, 'handoff-refused');
    }
    assert.equal(server.connections(), before);
  });

  it('cannot choose a domain by a local part', async () => {
    for (const local of [
      'x@evil.example,y',
      'x>,<y',
      '"x@evil.example"',
      'x%evil.example',
      'x\r\nRCPT TO:<z@evil.example>',
    ]) {
      server.kept.splice(0);
      const envelope = { from: 'a@acme.example', to: [`${local}@example.com`, 'good@example.com'] };
      const settings = { recipients: ['{local}@erp.example', '{mailbox}+{partner}@erp.example'] };
      const { kept } = await handOff(entity('a@x'), { settings, changes: { envelope, verdict } });
      for (const to of kept[0]?.to ?? []) assert.match(to, /@erp\.example$/, local);
      assert.ok(kept[0]?.to.includes('good@erp.example') && kept[0].to.includes('edi+acme@erp.example'));
    }
    assert.ok(!server.commands.some((line) => /RCPT.*evil\.example>/.test(line)));
  });

  it('cannot choose an envelope sender that is not an address', async () => {
    const envelope = { from: 'a@x>\r\nRCPT TO:<z@evil.example', to: ['edi@example.com'] };
    const { kept } = await handOff(entity('a@x'), { changes: { envelope } });
    assert.deepEqual([kept[0]?.from, kept[0]?.to], ['', ['a@erp.example']]);
  });
});

describe('a second message in the content', () => {
  const smuggled = 'MAIL FROM:<ceo@other.example>\r\nRCPT TO:<x@evil.example>\r\nDATA\r\nhello\r\n.\r\n';
  const ends = [
    '\r\n.\r\n',
    '\n.\n',
    '\r.\r',
    '\n.\r\n',
    '\r\n.\n',
    '\r\n.\r',
    '\r.\r\n',
    '\n.\r',
    '\r\r\n.\r\n',
  ];
  const wrap: Record<string, (text: string) => string> = {
    'a text': (text) => `Content-Type: text/plain\r\n\r\n${text}`,
    'an 8bit text': (text) =>
      `Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4${text}`,
    'a binary part': (text) =>
      `Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0${text}`,
    'a part of a multipart': (text) =>
      `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n${text}\r\n--b--\r\n`,
    'an attached mail': (text) => `Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n${text}`,
    'no entity at all': (text) => `UNA:+.? '${text}`,
    quotable: (text) =>
      `Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${text}`,
    'a signed part of another': (text) =>
      `Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n${text}\r\n--s\r\n\r\nsignature\r\n--s--\r\n`,
    'a mail that was not S/MIME': (text) => `Subject: x\r\n\r\n${text}`,
  };
  for (const [place, into] of Object.entries(wrap))
    it(`is none, in ${place}`, async () => {
      for (const end of ends) {
        server.kept.splice(0);
        server.commands.splice(0);
        const content = Buffer.from(into(`one${end}${smuggled}two\r\n`), 'latin1');
        const whole = place === 'a mail that was not S/MIME';
        const { outcome, kept } = await handOff(content, { changes: { whole } });
        // what cannot be written without a change is refused: nothing of it is sent
        if ('suspend' in outcome) assert.deepEqual([outcome.suspend, kept], ['mime-malformed', []]);
        else assert.equal(kept.length, 1);
        assert.ok(!server.commands.some((line) => /ceo@other|evil/.test(line)), JSON.stringify(end));
        for (const { octets } of kept)
          assert.doesNotMatch(
            octets.toString('latin1'),
            /\r(?!\n)|(?<!\r)\n|\r\n\.\r\n/,
            JSON.stringify(end),
          );
      }
    });

  it('nor another part or field, by a bare CR that a server makes a line end', async () => {
    const text = 'x\r--b\rContent-Type: text/html\r\r<a>\r';
    const entity = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y\rContent-Type: text/html\r\nContent-Type: text/plain\r\n\r\n${text}\r\n--b--\r\n`;
    const { outcome, kept } = await handOff(entity);
    assert.ok('done' in outcome, JSON.stringify(outcome));
    const mail = kept[0]?.octets.toString('latin1') ?? '';
    assert.equal(mail.match(/^--b\r$/gm)?.length, 1);
    assert.equal(mail.match(/^Content-Type: text\/html/gm), null);
    assert.ok(mail.includes(Buffer.from(text).toString('base64')));
  });

  it('octets that no server takes are encoded: lines without end, NUL, octets above 127', async () => {
    const line = 'x'.repeat(5000);
    for (const content of [
      `Content-Type: text/plain\r\n\r\n${line}\r\n`,
      crlf('Content-Type: text/plain\n\nfür\n').toString('utf8'),
      `Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\x01${line}`,
      `Subject: für\r\nContent-Type: text/plain; name="ü${line}"\r\n\r\nx\r\n`,
    ]) {
      server.kept.splice(0);
      const { outcome, kept } = await handOff(content);
      assert.ok('done' in outcome, JSON.stringify(outcome).slice(0, 300));
      const text = kept[0]?.octets.toString('latin1') ?? '';
      assert.match(text, /^[\t\r\n -~]+$/);
      assert.ok(text.split('\r\n').every((each) => each.length <= 998));
    }
  });
});
