/**
 * A business document whose first lines look like a mail's header must not stand in the outer header, readable by
 * every server on the way: content is content, unless the caller says that it is a mail.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type OutgoingOptions, outgoing } from '../../src/commands/outgoing.ts';
import { submitToDaemon } from '../../src/commands/send.ts';
import { loadConfig } from '../../src/config/load.ts';
import { SealpostError } from '../../src/errors.ts';
import { entityInfo, parseHeaders } from '../../src/message/index.ts';
import { command } from '../support/command.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Sink, skipWithoutPostfix, startSink } from '../support/postfix.ts';
import { makeWorld, openssl, partnerReads, skipWithout, type World } from '../support/world.ts';

const skip = skipWithout('openssl') || skipWithoutPostfix();

const binary = Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 7) % 256));

/** File name, type that the partner sees, octets. Each contains the word "marker" if it is not empty. */
const documents: [name: string, type: string, octets: string | Buffer][] = [
  ['order.edi', 'application/edifact', "UNA:+.? 'UNB+UNOC:3+marker+ACME+261129:1200+1'UNZ+0+1'"],
  ['lines.edifact', 'application/edifact', "UNA:+.? '\r\nUNB+UNOC:3+marker'\r\n\r\nUNZ+0+1'\r\n"],
  ['850.x12', 'application/edi-x12', 'ISA*00*          *ZZ*marker*ZZ*ACME~\nGS*PO~\nSE*1*0001~\n'],
  ['order.xml', 'application/xml', '<?xml version="1.0"?>\n<o:order xmlns:o="urn:x">marker</o:order>\n'],
  ['order.json', 'application/json', '{"marker": 1,\n\n"b": 2}'],
  ['order.csv', 'text/csv', 'marker: a;b\r\n1;2\r\n'],
  ['scan.PDF', 'application/pdf', Buffer.concat([Buffer.from('%PDF-1.7\nmarker: 1\n\n'), binary])],
  ['note.txt', 'text/plain', 'Subject: marker\nBcc: boss@own.example\n\nline\rwith a bare CR and\0NUL'],
  ['nameless', 'application/octet-stream', 'From: marker@own.example\n\nmarker'],
  ['forwarded.mht', 'application/octet-stream', 'marker: multipart\n\n'],
  ['empty.edi', 'application/edifact', ''],
  ['Bestellung "ä".csv', 'text/csv', 'marker;1\n'],
];

/** Sent by the program itself. */
const byCommand = ['order.edi', 'note.txt', 'empty.edi'];

/** The content and what the partner learns of it, out of the entity that openssl gives. */
function documentIn(entity: string): { name: string; type: string; octets: Buffer } {
  const end = entity.indexOf('\r\n\r\n');
  const info = entityInfo(parseHeaders(Buffer.from(entity.slice(0, end + 2), 'latin1')));
  assert.equal(info.transferEncoding, 'base64');
  assert.equal(info.disposition, 'attachment');
  const octets = Buffer.from(entity.slice(end + 4), 'base64');
  return { name: info.fileName, type: info.contentType.value, octets };
}

describe('content that looks like a header', { skip }, () => {
  let world: World;
  let daemon: TestDaemon;
  let sink: Sink;
  before(async () => {
    world = makeWorld();
    sink = await startSink();
    daemon = await startDaemon(world, {
      config: {
        partners: [
          {
            name: 'acme',
            addresses: ['edi@partner.example'],
            certificates: [world.partner.certFile],
            identity: 'own',
            from: 'orders@own.example',
            route: { host: '127.0.0.1', port: sink.port, tls: 'none' },
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await sink?.stop();
    world?.remove();
  });

  /** What the server gets of a message that was put on the queue. */
  async function arrives(id: string): Promise<Buffer> {
    await daemon.reaches(id, 'sent');
    const fresh = (await sink.messages()).filter((each) => !seen.has(each.toString('latin1')));
    const [mail] = fresh;
    assert.ok(mail && fresh.length === 1);
    seen.add(mail.toString('latin1'));
    return mail;
  }
  async function send(args: string[], input?: string): Promise<Buffer> {
    const options = input === undefined ? {} : { input };
    const { code, stdout, stderr } = await daemon.command(['send', '--partner', 'acme', ...args], options);
    assert.equal(code, 0, stderr);
    return await arrives(stdout.toString().trim());
  }
  /** As `send`, without the start of a process. */
  async function sendHere(file: string, options: OutgoingOptions = {}): Promise<Buffer> {
    const { configFile } = daemon;
    return await arrives(await submitToDaemon(loadConfig(configFile), 'acme', outgoing(file, options)));
  }
  const seen = new Set<string>();

  /** Names of the fields outside, in the order of their names. */
  const outside = (mail: Buffer) => {
    const { fields } = parseHeaders(mail.subarray(0, mail.indexOf('\n\n') + 1));
    return fields.map(({ key }) => key).sort();
  };
  const plainMail = [
    ...['content-disposition', 'content-transfer-encoding', 'content-type'],
    ...['date', 'from', 'message-id', 'mime-version', 'received', 'to', 'x-sealpost-trace'],
  ];

  for (const [name, type, content] of documents)
    it(`sends ${name} with nothing of it in clear`, async () => {
      const octets = Buffer.from(content);
      const file = world.file(name, octets);
      const mail = byCommand.includes(name) ? await send([file]) : await sendHere(file);
      assert.deepEqual(outside(mail), plainMail);
      const wire = mail.toString('latin1');
      assert.ok(!wire.includes('marker') && !wire.includes(name), wire.slice(0, 800));
      for (const line of octets.toString('latin1').split(/[\r\n]+/))
        assert.ok(line.length < 8 || !wire.includes(line), line);
      assert.deepEqual(documentIn(partnerReads(world, mail)), { name, type, octets });
    });

  it('takes the type from --content-type, also for *.eml and standard input', async () => {
    const octets = "UNA:+.? 'UNB+marker";
    for (const [args, name] of [
      [[world.file('late.eml', octets)], 'late.eml'],
      [['-'], ''],
    ] as const) {
      const mail = await send(['--content-type', 'application/EDIFACT; charset=iso-8859-1', ...args], octets);
      assert.deepEqual(outside(mail), plainMail);
      const entity = partnerReads(world, mail);
      assert.match(entity, /^Content-Type: application\/EDIFACT; charset=iso-8859-1\r\n/);
      const found = documentIn(entity);
      assert.deepEqual([found.name, found.octets.toString()], [name, octets]);
    }
  });

  it('lets only known fields of a mail stand outside', async () => {
    const text =
      'Subject: on the outside\r\nX-Order: marker\r\nKeywords: marker\r\nUNA: marker\r\n\r\nmarker\r\n';
    for (const args of [[world.file('out.eml', text)], ['--message', '-']]) {
      const mail = await send(args, text);
      assert.ok(!mail.toString('latin1').includes('marker'));
      assert.match(mail.toString('latin1'), /^Subject: on the outside\r?$/m);
      const entity = partnerReads(world, mail);
      for (const line of ['X-Order: marker', 'Keywords: marker', 'UNA: marker', 'marker'])
        assert.ok(entity.split('\r\n').includes(line), `${line} is lost`);
    }
  });

  it('refuses a mail whose header is broken, with the line, and sends nothing', async () => {
    const before = (await sink.messages()).length;
    for (const [mail, wanted] of [
      ["UNA:+.? 'UNB+marker", /does not end with an empty line/],
      ["UNA:+.? '\r\nUNB+marker\r\n\r\nx", /line 2 of the mail is not a header field/],
      ['Subject: x\n y\nno field\n\nx', /line 3 of the mail is not a header field/],
      [' folded\n\nx', /line 1 of the mail is not a header field/],
      ['From me Mon Nov 23\nSubject: x\n\nx', /line 1 of the mail is not a header field/],
      ['\nx', /the mail has no header/],
      ['From: a@own.example\nFROM: b@own.example\n\nx', /line 2 of the mail is a second FROM field/],
      ['From: ceo@own.example a@own.example\n\nx', /line 1 of the mail names nobody: its From field has/],
      ['X: y\nFrom: x <a@own.example <b@own.example>>\n\nx', /line 2 of the mail names nobody/],
      ['From: Orders\n\nx', /names nobody: its From field has an address without a domain/],
      ['From:\n\nx', /names nobody in its From field/],
      ['From: a@own.example\nSender: b@own.example c@d.example\n\nx', /line 2 .* its Sender field/],
      ['From: a@own.example\nTo: <b@own.example\n\nx', /line 2 .* its To field/],
      ['Subject : x\n\nx', /line 1 of the mail has white space between Subject and its colon/],
      ['Subject: x\rBcc: y@own.example\n\nx', /line 1 of the mail has a bare CR or NUL in Subject/],
    ] as const)
      await assert.rejects(
        Array.fromAsync(outgoing(world.file('broken', mail), { message: true }).open()),
        (error) => {
          assert.ok(error instanceof SealpostError && error.code === 'mime-malformed' && error.hint);
          assert.match(error.message, wanted);
          return true;
        },
      );
    for (const args of [
      ['send', '--partner', 'acme', '--message', '--config', daemon.configFile, '-'],
      ['encode', '--message', '--to', world.partner.certFile, '-'],
    ]) {
      const { code, stdout, stderr } = await command(args, { input: "UNA:+.? 'UNB+marker" });
      assert.deepEqual([code, stdout.length], [1, 0], stderr);
      assert.match(stderr, /does not end with an empty line \[mime-malformed\]\nhint: /);
    }
    assert.equal((await sink.messages()).length, before);
  });

  it('refuses an invalid media type, both at once, and an empty pipe', async () => {
    for (const type of [
      'edifact',
      'a/b\r\nBcc: x@y',
      'a/b; c="\0"',
      'multipart/mixed; boundary=x',
      'message/rfc822',
    ])
      assert.throws(() => outgoing('-', { contentType: type }), { code: 'usage' }, type);
    for (const [args, code, wanted] of [
      [
        ['send', '--partner', 'acme', '--content-type', 'edifact', '-'],
        2,
        /"edifact" is not a media type \[usage\]/,
      ],
      [
        ['encode', '--content-type', 'text/csv', '--message', '-'],
        2,
        /cannot be used with option '--message'/,
      ],
      [['encode', '--to', world.partner.certFile, '-'], 1, /standard input has no octets \[message-empty\]/],
    ] as const) {
      const ran = await command([...args]);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, wanted);
    }
  });

  for (const [name, type, content] of [documents[0], documents[7]].filter((each) => each !== undefined))
    it(`encodes ${name} the same`, async () => {
      const octets = Buffer.from(content);
      const out = join(world.folder, 'encoded');
      const args = [
        '--to',
        world.partner.certFile,
        '--sign-key',
        world.own.keyFile,
        '--sign-cert',
        world.own.certFile,
      ];
      const ran = await command(['encode', world.file(name, octets), ...args, '--out', out]);
      assert.deepEqual([ran.code, ran.stderr], [0, '']);
      assert.ok(existsSync(out));
      const mail = openssl(['cms', '-cmsout', '-in', out, '-outform', 'SMIME', '-inform', 'SMIME']);
      assert.deepEqual(documentIn(partnerReads(world, mail)), { name, type, octets });
    });
});
