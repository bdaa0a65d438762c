/**
 * What becomes of a binding file: mailboxes from receive locations, partners from send ports and parties, as commented
 * YAML that counts for nothing before a person has read and renamed it; and what could not be carried over, in
 * sentences.
 */
import { domainOf, isAddress } from './addresses.ts';
import type { Bindings, Party, Properties, ReceiveLocation, SendPort, Transport } from './bindings.ts';
import { Lines, oneLine, type Value } from './lines.ts';

export interface CarriedFile {
  /** Below the folder of the import. */
  name: string;
  text: string;
}

export interface Carried {
  files: CarriedFile[];
  /** Of whom, and what was not carried over or has to be looked at. */
  notes: { of: string; text: string }[];
  mailboxes: number;
  partners: number;
}

/** A name that settings and files take, which no other one has. */
function namer(): (text: string) => string {
  const taken = new Set<string>();
  return (text) => {
    const plain = text
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, '-')
      .slice(0, 50);
    let end = plain.length;
    while (end > 0 && !/[a-z0-9]/.test(plain.charAt(end - 1))) end -= 1;
    const base = plain.slice(0, end).replace(/^[^a-z0-9]+/, '') || 'unnamed';
    let name = base;
    for (let at = 2; taken.has(name); at += 1) name = `${base}-${at}`;
    taken.add(name);
    return name;
  };
}

export function carryOver(bindings: Bindings): Carried {
  const notes: Carried['notes'] = [];
  const files: CarriedFile[] = [];
  const mailboxes: string[] = [];
  const mailboxName = namer();
  for (const location of bindings.locations) {
    const note = (text: string) => void notes.push({ of: `receive location ${location.name}`, text });
    const lines = mailboxOf(location, mailboxName, note);
    if (lines) mailboxes.push(lines);
  }
  if (mailboxes.length > 0)
    files.push({
      name: 'mailboxes.yaml.disabled',
      text: `${mailboxHead}mailboxes:\n${mailboxes.join('\n')}`,
    });
  const partnerName = namer();
  const used = new Set<Party>();
  let partners = 0;
  for (const port of bindings.ports) {
    const note = (text: string) => void notes.push({ of: `send port ${port.name}`, text });
    const parties = bindings.parties.filter(({ sendPorts }) => sendPorts.includes(port.name));
    const [party] = parties;
    if (parties.length > 1)
      note(`several parties use it; the partner has the name of ${oneLine(party?.name ?? '')}`);
    const made = partnerOf(port, party, partnerName, note);
    if (made === undefined) continue;
    for (const each of parties) used.add(each);
    partners += 1;
    files.push({ name: `partners/${made.name}.yaml.disabled`, text: made.text });
  }
  for (const party of bindings.parties.filter((each) => !used.has(each))) {
    const note = (text: string) => void notes.push({ of: `party ${party.name}`, text });
    const addresses = addressesOf(party);
    if (party.certificate === undefined && addresses.length === 0) {
      note('it has neither a certificate nor a mail address, and no send port for mail');
      continue;
    }
    partners += 1;
    const name = partnerName(party.name);
    files.push({
      name: `partners/${name}.yaml.disabled`,
      text: receivingPartner(name, party, addresses, note),
    });
  }
  for (const other of bindings.others)
    notes.push({ of: oneLine(other), text: 'has no counterpart: your systems take over after the hand-off' });
  return { files, notes, mailboxes: mailboxes.length, partners };
}

type Note = (text: string) => void;

const mailboxHead = `# From receive locations of BizTalk Server. Nothing here counts before you have put these entries
# into sealpost.yaml. Read each comment first, then run sealpost check.
`;

const isPop3 = (adapter: string) => /^POP3$/i.test(adapter);
const isOffice = (adapter: string) => /^Office ?365 (?:Outlook )?(?:Mail|Email)$/i.test(adapter);

/** Undefined for a location that does not take mail. */
function mailboxOf(
  location: ReceiveLocation,
  nameOf: (text: string) => string,
  note: Note,
): string | undefined {
  const { adapter, settings, decoder, secrets } = location;
  if (!isPop3(adapter) && !isOffice(adapter)) {
    note(`the adapter ${oneLine(adapter) || 'without a name'} is not one for mail`);
    return undefined;
  }
  const name = nameOf(location.name);
  const lines = new Lines('    ');
  lines.comment(
    `Receive location ${location.name} of port ${location.port}${location.enabled ? '' : ', which is disabled'}.`,
  );
  if (isPop3(adapter)) pop3(lines, name, settings, note);
  else office(lines, name, settings, note);
  if (secrets.length > 0)
    note(`its ${secrets.join(', ')} was not read: put it into the file that password names`);
  decoding(lines, decoder, location.pipeline, settings, note);
  const unresolved = ({ '1': 'drop', '2': 'suspend' } as const)[location.authentication];
  lines.set(
    'unresolved',
    unresolved,
    'Authentication of the receive port: what nobody is known to have sent.',
  );
  lines.set(
    'destinations',
    [{ type: 'directory', path: `/var/lib/delivered/${name}` }],
    'Where content goes: choose. In BizTalk, subscriptions decided.',
  );
  if (location.hasWindow)
    note('its service window or dates were not carried over: mailboxes are always read');
  return `  - name: ${name}\n${lines.text}`;
}

function pop3(lines: Lines, name: string, settings: Properties, note: Note): void {
  const port = Number(settings.get('serverPort') ?? 0);
  const isTls = /^true$/i.test(settings.get('sslRequired') ?? '');
  const count = settings.get('pollingInterval');
  const unit = { Seconds: 's', Minutes: 'm', Hours: 'h', Days: 'd' }[
    settings.get('pollingUnitOfMeasure') ?? 'Minutes'
  ];
  const every = unit !== undefined && /^[1-9]\d{0,5}$/.test(count ?? '') ? `${count}${unit}` : undefined;
  lines.set(
    'imap',
    {
      host: settings.get('mailServer') ?? 'mail.example.com',
      tls: 'implicit',
      user: settings.get('userName') ?? 'user',
      password: { file: `secrets/${name}` },
      // POP3 always deletes; that is for the person to choose.
      action: 'move',
      ...(every === undefined ? {} : { pollInterval: every }),
    },
    'POP3 becomes IMAP: see that the server speaks it. BizTalk deleted mail; here it is moved.',
  );
  if (port > 0 && port !== 995 && port !== 110) note(`its port ${port} is one for POP3: IMAP has 993`);
  if (!isTls) note('it had no TLS; the mailbox requires it');
  if (settings.get('authenticationScheme') !== undefined && settings.get('authenticationScheme') !== 'Basic')
    note(`its authentication ${oneLine(settings.get('authenticationScheme') ?? '')} has no counterpart`);
  if (settings.has('errorThreshold')) note('its error threshold was left out: errors shut no mailbox down');
}

function office(lines: Lines, name: string, settings: Properties, note: Note): void {
  const find = (pattern: RegExp) => [...settings].find(([each]) => pattern.test(each))?.[1];
  const action = /delete/i.test(find(/action/i) ?? '') ? 'delete' : 'seen';
  const folder = find(/folder/i);
  lines.set(
    'imap',
    {
      host: 'outlook.office365.com',
      user: find(/mail|account|user/i) ?? 'user@example.com',
      password: { file: `secrets/${name}` },
      ...(folder === undefined ? {} : { folder }),
      action,
    },
    'Office 365 becomes IMAP, with oauth2 instead of password: see docs/sending.md, "OAuth".',
  );
  note('write oauth2 instead of password: Office 365 takes no passwords over IMAP');
}

function decoding(
  lines: Lines,
  decoder: Properties | undefined,
  pipeline: string,
  settings: Properties,
  note: Note,
): void {
  if (decoder === undefined && pipeline !== '')
    note(
      `the settings of its pipeline ${oneLine(pipeline.split(',', 1)[0] ?? '')} are in the pipeline, and not in this file`,
    );
  const of = (name: string, other: string) => decoder?.get(name) ?? settings.get(other);
  const allows = decoder?.get('AllowNonMIMEMessage');
  if (allows !== undefined)
    lines.set('notSmime', isOn(allows) ? 'pass' : 'suspend', 'Allow Non MIME Message of the decoder.');
  const contentType = of('BodyPartContentType', 'bodyPartContentType');
  const index = Number(of('BodyPartIndex', 'bodyPartIndex') ?? 0);
  const body: Record<string, Value> = {};
  if (contentType !== undefined && /^[\w.+-]+\/[\w.+-]+$/.test(contentType)) body.contentType = contentType;
  if (Number.isSafeInteger(index) && index > 0) body.index = index;
  if (Object.keys(body).length > 0) lines.set('bodyPart', body, 'Body part of the decoder.');
  if (decoder && isOn(decoder.get('CheckRevocationList') ?? 'true'))
    note('it checked revocation lists: set trust.revocation.mode, which is for the whole installation');
}

const isOn = (text: string) => /^(?:true|1|-1)$/i.test(text);

function partnerHead(what: string): Lines {
  return new Lines()
    .comment(`${what}.`)
    .comment('It counts for nothing before you rename it to end in .yaml, in the folder of partner files.');
}

/** Undefined for a send port that does not send mail. */
function partnerOf(
  port: SendPort,
  party: Party | undefined,
  nameOf: (text: string) => string,
  note: Note,
): { name: string; text: string } | undefined {
  const { primary, backup } = port;
  if (port.isDynamic) {
    note('it is dynamic: partners have fixed addresses; write a partner for each');
    return undefined;
  }
  if (primary === undefined || !/^SMTP$/i.test(primary.adapter)) {
    note(`the adapter ${oneLine(primary?.adapter ?? '') || 'without a name'} is not one for mail`);
    return undefined;
  }
  const name = nameOf(party?.name ?? port.name);
  const lines = partnerHead(
    `Send port ${port.name}${party ? `, party ${party.name}` : ''} of BizTalk Server`,
  );
  lines.set('name', name);
  const addresses = [...new Set([...mailAddresses(primary, note), ...(party ? addressesOf(party) : [])])];
  if (addresses.length === 0) {
    note('it has no address: write one under addresses');
    addresses.push('edi@partner.example');
  }
  lines.set(
    'addresses',
    addresses,
    'Mail goes to the first one. Add every address that the partner writes in From.',
  );
  certificates(lines, name, [port.certificate, party?.certificate], note);
  const from = primary.settings.get('From');
  if (from !== undefined && isAddress(from)) lines.set('from', from);
  encoding(lines, port, note);
  if (signatureOf(port) !== 'none')
    lines.set('identity', 'own', 'Your key that signs: the name of one of your identities.');
  route(lines, name, primary, note);
  if (backup !== undefined) {
    if (/^SMTP$/i.test(backup.adapter)) {
      const host = backup.settings.get('SMTPHost');
      lines.set('backup', { route: host === undefined ? {} : { host } }, 'Backup transport.');
    } else note(`its backup transport ${oneLine(backup.adapter)} is not one for mail`);
  }
  if (primary.window)
    lines.set(
      'windows',
      { timeZone: 'UTC', open: [{ days: everyDay, ...primary.window }] },
      'Service window. BizTalk had the time zone of its server: write it here.',
    );
  if (primary.ordered) lines.set('order', port.stopsOnFailure ? 'stop' : 'skip', 'Ordered delivery.');
  others(port, primary, note);
  return { name, text: lines.text };
}

const everyDay = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

function others(port: SendPort, primary: Transport, note: Note): void {
  if (primary.retryCount !== undefined || primary.retryInterval !== undefined)
    note(
      `its retries (${oneLine(primary.retryCount ?? '?')} times, every ${oneLine(primary.retryInterval ?? '?')} minutes) were left out: retry is for the whole installation`,
    );
  if (port.priority !== undefined && port.priority !== '5')
    note(`its priority ${oneLine(port.priority)} is given with each message here`);
  if (port.hasFilter) note('its filter has no counterpart: your programs say for which partner a message is');
  if (port.isTwoWay) note('it is two-way: an answer comes to a mailbox');
  for (const [setting, what] of [
    ['Subject', 'subject'],
    ['CC', 'further recipients (CC)'],
    ['EmailBodyText', 'text of the body'],
    ['EmailBodyFile', 'text of the body from a file'],
    ['Attachments', 'attached files'],
    ['DeliveryReceipt', 'request of delivery receipts'],
    ['ReadReceipt', 'request of read receipts'],
  ] as const) {
    const value = primary.settings.get(setting);
    if (value !== undefined && !/^(?:0|false)$/i.test(value))
      note(`its ${what} comes from your message here`);
  }
}

function route(lines: Lines, name: string, { settings, secrets }: Transport, note: Note): void {
  const host = settings.get('SMTPHost');
  const user = settings.get('Username') ?? settings.get('UserName');
  if (host === undefined) note("it has no host: without route, mail goes to the partner's MX hosts");
  const value: Record<string, Value> = {};
  if (host !== undefined) value.host = host;
  if (user !== undefined && host !== undefined) {
    value.user = user;
    value.password = { file: `secrets/${name}` };
  }
  if (host !== undefined) lines.set('route', value, 'The SMTP adapter had no TLS; here it is required.');
  if (secrets.length > 0)
    note(`its ${secrets.join(', ')} was not read: put it into the file that password names`);
}

function mailAddresses({ address, settings }: Transport, note: Note): string[] {
  const written = [address.replace(/^mailto:/i, ''), settings.get('To') ?? ''].join(';');
  const all = written.split(/[;,]/).map((each) => each.trim());
  const right = all.filter(isAddress);
  const wrong = all.filter((each) => each !== '' && !isAddress(each));
  if (wrong.length > 0) note(`${oneLine(wrong.join(', '), 100)} is no mail address`);
  if (right.length > 1)
    note('it has several recipients: mail goes to the first one; write a partner for each');
  return right;
}

const addressesOf = (party: Party) => [
  ...new Set(
    party.aliases.map(({ value }) => value.trim()).filter((value) => isAddress(value) || domainOf(value)),
  ),
];

function certificates(
  lines: Lines,
  name: string,
  found: readonly (SendPort['certificate'] | undefined)[],
  note: Note,
): void {
  const all = new Map(found.flatMap((each) => (each ? [[each.thumbprint, each] as const] : [])));
  if (all.size === 0) {
    note('it names no certificate: add it, or sealpost partners add --from-mail');
    return;
  }
  for (const { thumbprint, name: subject } of all.values())
    lines.comment(
      `SHA-1 thumbprint ${thumbprint}${subject === '' ? '' : ` (${subject})`}: export it as .cer`,
    );
  const files = [...all.keys()].map((_, at) => `certs/${name}${at === 0 ? '' : `-${at + 1}`}.cer`);
  lines.set('certificates', files);
}

/** Encryption algorithms of the encoder, by name and by number. */
const algorithms: Record<string, [string, boolean]> = {
  DES3: ['des-ede3-cbc', true],
  DES: ['des-cbc', true],
  RC2: ['rc2-128-cbc', true],
  AES128: ['aes-128-cbc', false],
  AES192: ['aes-192-cbc', false],
  AES256: ['aes-256-cbc', false],
};
const numbers = ['DES3', 'DES', 'RC2', 'AES128', 'AES192', 'AES256'];
const signatures: Record<string, string> = {
  '0': 'none',
  '1': 'detached',
  '2': 'opaque',
  NoSignature: 'none',
  ClearSign: 'detached',
  BlobSign: 'opaque',
};

const signatureOf = ({ encoder }: Pick<SendPort, 'encoder'>) =>
  signatures[encoder?.get('SignatureType') ?? ''];

function encoding(lines: Lines, { encoder, pipeline }: SendPort, note: Note): void {
  if (encoder === undefined) {
    lines.todo(
      'preset',
      'biztalk',
      'How BizTalk before 2016 protected mail, if the partner knows nothing newer:',
    );
    note(
      `the settings of its pipeline ${oneLine(pipeline.split(',', 1)[0] ?? '') || 'without a name'} are in the pipeline, and not in this file: mail is signed and encrypted unless you write otherwise`,
    );
    return;
  }
  const encrypts = encoder.get('EnableEncryption');
  if (encrypts !== undefined) lines.set('encrypt', isOn(encrypts), 'Enable encryption.');
  const written = encoder.get('EncryptionAlgorithm');
  const algorithm = algorithms[numbers[Number(written)] ?? written ?? ''];
  if (written !== undefined && algorithm === undefined)
    note(`the encryption algorithm ${oneLine(written)} is not known`);
  else if (algorithm !== undefined && isOn(encrypts ?? 'true')) {
    const [cipher, isWeak] = algorithm;
    if (isWeak)
      lines.todo(
        'contentEncryption',
        cipher,
        `BizTalk used ${cipher}, which needs allowWeak: true; the default is AES-256.`,
      );
    else lines.set('contentEncryption', cipher, 'Encryption algorithm.');
  }
  const sign = signatureOf({ encoder });
  if (sign !== undefined) lines.set('sign', sign, `Signature type ${encoder.get('SignatureType')}.`);
  const adds = encoder.get('AddSigningCertToMessage') ?? encoder.get('AddSigningCertificateToMessage');
  if (adds !== undefined) lines.set('addSigningCertificate', isOn(adds));
  const attaches = encoder.get('SendBodyPartAsAttachment');
  if (attaches !== undefined) lines.set('bodyAsAttachment', isOn(attaches));
  if (isOn(encoder.get('CheckRevocationList') ?? 'false'))
    lines.set('revocation', 'hard', 'Check revocation list: mail waits while nothing is known.');
}

/** A party that only sends to us. */
function receivingPartner(name: string, party: Party, addresses: string[], note: Note): string {
  const lines = partnerHead(`Party ${party.name} of BizTalk Server, without a send port for mail`);
  lines.set('name', name);
  if (addresses.length === 0) note('it has no mail address: write one under addresses');
  lines.set(
    'addresses',
    addresses.length > 0 ? addresses : ['edi@partner.example'],
    'Every address that the partner writes in From.',
  );
  certificates(lines, name, [party.certificate], note);
  return lines.text;
}
