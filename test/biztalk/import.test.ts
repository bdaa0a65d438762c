/** A binding file becomes mailboxes and partners that the configuration takes once a person has completed them. */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { importBindings } from '../../src/biztalk/index.ts';
import { command } from '../support/command.ts';
import { makeWorld } from '../support/world.ts';
import {
  adapterConfig,
  application,
  bindings,
  component,
  customProps,
  receivePort,
  sendPort,
} from './support.ts';

const carried = (xml: string) => {
  const { files, notes, ...counts } = importBindings(Buffer.from(xml));
  const file = (name: string) => parse(files.find((each) => each.name === name)?.text ?? '');
  return { file, files, notes: notes.map(({ of, text }) => `${of}: ${text}`), ...counts };
};

describe('import of a binding file', () => {
  it('makes a mailbox of a receive location for mail', () => {
    const { file, notes, mailboxes } = carried(application);
    assert.equal(mailboxes, 1);
    assert.deepEqual(file('mailboxes.yaml.disabled').mailboxes, [
      {
        name: 'orders-by-mail',
        imap: {
          host: 'mail.own.example',
          tls: 'implicit',
          user: 'orders',
          password: { file: 'secrets/orders-by-mail' },
          action: 'move',
          pollInterval: '5m',
        },
        notSmime: 'pass',
        bodyPart: { contentType: 'text/xml', index: 2 },
        unresolved: 'suspend',
        destinations: [{ type: 'directory', path: '/var/lib/delivered/orders-by-mail' }],
      },
    ]);
    for (const note of [
      /^receive location Orders by mail: it checked revocation lists/,
      /^receive location Orders by mail: its password was not read/,
      /^receive location Files: the adapter FILE is not one for mail/,
    ])
      assert.ok(
        notes.some((each) => note.test(each)),
        `${note}`,
      );
  });

  it('makes a partner of a send port for mail, with what its party has', () => {
    const { file, notes, partners, files } = carried(application);
    assert.equal(partners, 1);
    assert.deepEqual(file('partners/acme.yaml.disabled'), {
      name: 'acme',
      addresses: ['edi@acme.example', 'second@acme.example', 'billing@acme.example'],
      certificates: ['certs/acme.cer'],
      from: 'orders@own.example',
      encrypt: true,
      contentEncryption: 'aes-256-cbc',
      sign: 'detached',
      identity: 'own',
      bodyAsAttachment: true,
      route: { host: 'smarthost.own.example', user: 'relay', password: { file: 'secrets/acme' } },
      windows: {
        timeZone: 'UTC',
        open: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '08:00', to: '18:30' }],
      },
      order: 'stop',
    });
    assert.match(
      files.find(({ name }) => name.startsWith('partners'))?.text ?? '',
      /SHA-1 thumbprint (?:AB12CD34EF56){3}AB12 \(CN=Acme EDI\)/,
    );
    for (const note of [
      /^send port Invoices to Acme: it has several recipients/,
      /^send port Invoices to Acme: its retries \(3 times, every 5 minutes\)/,
      /^send port Invoices to Acme: its filter has no counterpart/,
      /^send port Invoices to Acme: its subject comes from your message/,
      /^send port To a queue: the adapter WCF-NetMsmq is not one for mail/,
      /^party Silent: it has neither a certificate nor a mail address/,
    ])
      assert.ok(
        notes.some((each) => note.test(each)),
        `${note}\n${notes.join('\n')}`,
      );
  });

  it('says what stands in a pipeline, is dynamic, or is weak', () => {
    const { file, files, notes, partners } = carried(
      bindings({
        send: [
          sendPort('plain', { address: 'mailto:a@b.example', data: customProps({}) }),
          sendPort('weak', {
            address: 'mailto:a@c.example',
            data: customProps({}),
            encoder: component('MIME_SMIME_Encoder', {
              EnableEncryption: 'true',
              EncryptionAlgorithm: '0',
              SignatureType: '2',
            }),
          }),
          sendPort('moving', { address: '', data: '', attributes: 'IsStatic="false"' }),
        ].join(''),
        parties:
          '<Party Name="only sends"><Aliases><PartyAlias Name="mail" Value="x@d.example" /></Aliases></Party>',
      }),
    );
    assert.equal(partners, 3);
    assert.deepEqual(file('partners/plain.yaml.disabled'), {
      name: 'plain',
      addresses: ['a@b.example'],
      identity: 'own',
    });
    assert.deepEqual(file('partners/weak.yaml.disabled'), {
      name: 'weak',
      addresses: ['a@c.example'],
      encrypt: true,
      sign: 'opaque',
      identity: 'own',
    });
    assert.match(
      files.find(({ name }) => name.includes('weak'))?.text ?? '',
      /# contentEncryption: des-ede3-cbc/,
    );
    assert.deepEqual(file('partners/only-sends.yaml.disabled'), {
      name: 'only-sends',
      addresses: ['x@d.example'],
    });
    assert.ok(
      notes.some((each) =>
        /plain: the settings of its pipeline Own.Pipelines.EncodeSend are in the pipeline/.test(each),
      ),
    );
    assert.ok(notes.some((each) => /moving: it is dynamic/.test(each)));
  });

  it('reads UTF-16, as some tools save it', () => {
    const xml = application.replace('utf-8', 'utf-16');
    const { mailboxes } = importBindings(
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(xml, 'utf16le')]),
    );
    assert.equal(mailboxes, 1);
  });

  it('reads Office 365, and gives each name once', () => {
    const location = {
      adapter: 'Office365 Outlook Email',
      data: adapterConfig({ FolderName: 'Orders', PostActionTask: '2', EmailAddress: 'in@own.example' }),
    };
    const { file } = carried(
      bindings({ receive: ['In', 'in'].map((name) => receivePort({ name, ...location })).join('') }),
    );
    const { mailboxes } = file('mailboxes.yaml.disabled');
    assert.deepEqual(
      mailboxes.map(({ name }: { name: string }) => name),
      ['in', 'in-2'],
    );
    const { host, folder, action, user } = mailboxes[0].imap;
    assert.deepEqual(
      [host, folder, action, user],
      ['outlook.office365.com', 'Orders', 'delete', 'in@own.example'],
    );
  });

  it('takes the names and numbers that public binding files have, in the components and the Office 365 adapter', () => {
    const { file, notes } = carried(
      bindings({
        receive: [
          receivePort({
            name: 'unread',
            adapter: 'Office365 Outlook Email',
            data: customProps({
              FolderName: 'Inbox',
              UnreadMailsOnly: '-1',
              PostActionTask: '2',
              MIMEContent: '0',
              StartTime: '2020-01-20T19:19:19+01:00',
              EmailAddress: 'in@own.example',
            }),
            pipelineData: component('MIME_SMIME_Decoder', { AllowNonMIMEMessage: '-1' }),
          }),
          receivePort({
            name: 'quick',
            adapter: 'POP3',
            data: adapterConfig({
              mailServer: 'mail.own.example',
              applyMIME: 'false',
              bodyPartContentType: 'soup',
            }),
            pipelineData: component('MIME_SMIME_Decoder', { ValidateCRL: '0' }),
          }),
        ].join(''),
        send: [
          sendPort('by Office', {
            adapter: 'Office365 Outlook Email',
            address: 'O365Mail://edi@acme.example',
            data: customProps({
              To: 'edi@acme.example',
              EmailAddress: 'out@own.example',
              Importance: 'High',
            }),
            encoder: component('MIME_SMIME_Encoder', {
              EnableEncryption: '0',
              SignatureType: 'NoSign',
              ContentTransferEncoding: '7bit',
              ValidateCRL: '-1',
            }),
          }),
          sendPort('support', {
            address: 'help@b.example',
            data: customProps({ To: 'help@b.example', SMTPHost: 'smtp.own.example', SMTPAuthenticate: '2' }),
            encoder: component('MIME_SMIME_Encoder', { AddSigningCertToMessage: '-1' }),
          }),
        ].join(''),
      }),
    );
    const [unread, quick] = file('mailboxes.yaml.disabled').mailboxes;
    const { folder, action, user } = unread.imap;
    assert.deepEqual([folder, action, user], ['Inbox', 'delete', 'in@own.example']);
    assert.deepEqual([unread.notSmime, quick.notSmime], ['pass', undefined]);
    const office = file('partners/by-office.yaml.disabled');
    assert.deepEqual(
      [office.addresses, office.encrypt, office.sign, office.identity, office.revocation, office.route.host],
      [['edi@acme.example'], false, 'none', undefined, 'hard', 'smtp.office365.com'],
    );
    assert.deepEqual(file('partners/support.yaml.disabled').addresses, ['help@b.example']);
    const said = (of: string) => notes.filter((each) => each.includes(of)).join('\n');
    for (const [of, ...patterns] of [
      ['unread', /does not say whether it checks/, /start date 2020-01-20/, /unread mail only/],
      ['quick', /body part content type soup is none/, /applied no MIME decoding/, /mail that is not MIME/],
      ['by Office', /encoding 7bit was left out/, /importance comes from your message/, /oauth2/],
      ['support', /does not say whether it encrypts/, /does not say whether it signs/, /NTLM/],
    ] as const)
      for (const pattern of patterns) assert.match(said(of), pattern);
    assert.doesNotMatch(said('quick'), /revocation lists/);
    assert.doesNotMatch(said('support'), /several recipients/, 'the address of the port is To once more');
    assert.doesNotMatch(said('by Office'), /is no mail address|several/);
  });

  it('names each setting and each component that it does not know', () => {
    const decoder = component('MIME_SMIME_Decoder', { AllowNonMIMEMessage: '-1', Newer: '1' }).replace(
      '</Components>',
      '<Component Name="Microsoft.BizTalk.Component.FFDasmComp,Microsoft.BizTalk.Pipeline.Components"><Properties /></Component></Components>',
    );
    const encoder = component('MIME_SMIME_Encoder', {
      ...{ SendBodyPartAsAttachment: '0', ContentTransferEncoding: 'base64', SignatureType: '0' },
      ...{
        EnableEncryption: '-1',
        EncryptionAlgorithm: '5',
        AddSigningCertToMessage: '-1',
        ValidateCRL: '0',
      },
    });
    const smtp = { From: 'a@own.example', To: 'b@acme.example', SMTPHost: 'smtp.own.example' };
    const { notes } = carried(
      bindings({
        receive: receivePort({
          name: 'location',
          adapter: 'POP3',
          data: adapterConfig({ uri: 'POP3://mail#a', mailServer: 'mail', sslRequired: 'true', odd: 'x' }),
          pipelineData: decoder,
        }),
        send: [
          sendPort('known', { address: 'mailto:b@acme.example', data: customProps(smtp), encoder }),
          sendPort('unknown', {
            address: 'mailto:c@acme.example',
            data: customProps({ ...smtp, To: 'c@acme.example', EmailBodyTextCharset: 'utf-8', Odd: 'x' }),
            encoder: encoder.replace('<SignatureType', '<Newer vt="8">1</Newer><SignatureType'),
          }),
        ].join(''),
      }),
    );
    const left = notes.filter((each) => /left out|no counterpart/.test(each));
    assert.deepEqual(
      left.filter((each) => !/retries/.test(each)),
      [
        'receive location location: settings of its adapter that are not known here were left out: odd',
        'receive location location: settings of its MIME/SMIME component that are not known here were left out: Newer',
        'receive location location: further components of its pipeline have no counterpart: FFDasmComp',
        'send port unknown: settings of its adapter that are not known here were left out: EmailBodyTextCharset, Odd',
        'send port unknown: settings of its MIME/SMIME component that are not known here were left out: Newer',
      ],
    );
  });

  it('knows that the pipelines of BizTalk itself do not encode', () => {
    const port = sendPort('plain', { address: 'a@b.example', data: customProps({}) });
    const { notes } = carried(
      bindings({
        send: port.replace('Own.Pipelines.EncodeSend', 'Microsoft.BizTalk.DefaultPipelines.PassThruTransmit'),
      }),
    );
    assert.ok(notes.some((each) => /PassThruTransmit neither signed nor encrypted/.test(each)));
  });
});

describe('sealpost import biztalk', () => {
  const world = makeWorld();
  after(() => world.remove());

  it('writes files that count for nothing, and that check takes once they are completed', async () => {
    const binding = world.file('bindings.xml', application);
    const out = join(world.folder, 'imported');
    const ran = await command(['import', 'biztalk', binding, '--out', out]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(`${ran.stdout}`, /1 mailbox and 1 partner:/);
    assert.deepEqual(globSync('**/*.yaml', { cwd: out }), []);
    assert.match((await command(['import', 'biztalk', binding, '--out', out])).stderr, /is not empty/);

    // What the person does: certificates, secrets, names.
    mkdirSync(join(out, 'partners/certs'), { recursive: true });
    mkdirSync(join(out, 'partners/secrets'));
    mkdirSync(join(out, 'secrets'));
    writeFileSync(join(out, 'partners/certs/acme.cer'), readFileSync(world.partner.certFile));
    for (const name of ['partners/secrets/acme', 'secrets/orders-by-mail'])
      writeFileSync(join(out, name), 'x\n', { mode: 0o600 });
    renameSync(join(out, 'partners/acme.yaml.disabled'), join(out, 'partners/acme.yaml'));
    const { mailboxes } = parse(readFileSync(join(out, 'mailboxes.yaml.disabled'), 'utf8'));
    mkdirSync(join(out, 'delivered'));
    mailboxes[0].destinations[0].path = 'delivered';
    const config = {
      dataDir: 'data',
      identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
      trust: { anchors: [world.anchorFile] },
      mailboxes,
    };
    writeFileSync(join(out, 'sealpost.yaml'), stringify(config));
    const checked = await command(['check', '--config', join(out, 'sealpost.yaml')]);
    assert.equal(checked.code, 0, `${checked.stdout}${checked.stderr}`);
    assert.ok(existsSync(join(out, 'partners/acme.yaml')));
  });
});
