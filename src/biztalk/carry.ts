/**
 * Turns a binding file into configuration: mailboxes from receive locations, partners from send ports and parties, as
 * commented YAML that has no effect before a person has read and renamed it. What could not be carried over is said in
 * sentences.
 */
import type { Bindings, Party, Pipeline, SendPort, Transport } from './bindings.ts';
import { isOn, Lines, type Note, noteOthers, oneLine, type Value } from './lines.ts';
import { isOffice, mailboxHead, mailboxOf, revocationOf } from './mailbox.ts';
import { invalid } from './xml.ts';

export interface CarriedFile {
  /** Below the folder of the import. */
  name: string;
  text: string;
}

export interface Carried {
  files: CarriedFile[];
  /** What it is about, and what was not carried over or has to be checked. */
  notes: { of: string; text: string }[];
  mailboxes: number;
  partners: number;
}

/** A name that settings and files accept, and that is not taken yet. */
function namer(): (text: string) => string {
  const taken = new Set<string>();
  /** By name, the first number that was not tried yet. The next one with the same name starts there. */
  const next = new Map<string, number>();
  return (text) => {
    const plain = text
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, '-')
      .slice(0, 50);
    let end = plain.length;
    while (end > 0 && !/[a-z0-9]/.test(plain.charAt(end - 1))) end -= 1;
    const base = plain.slice(0, end).replace(/^[^a-z0-9]+/, '') || 'unnamed';
    let name = base;
    let at = next.get(base) ?? 2;
    for (; taken.has(name); at += 1) name = `${base}-${at}`;
    next.set(base, at);
    taken.add(name);
    return name;
  };
}

/**
 * Addresses of all partners together. A party can have many addresses and many send ports, and each send port becomes a
 * partner.
 */
const mostAddresses = 100_000;

/** Addresses of parties: looked up once for each, however many send ports it has. */
class PartyAddresses {
  readonly #found = new Map<Party, string[]>();
  #left = mostAddresses;

  /** Takes from the budget for one more partner. Errors: `import-invalid`. */
  of(party: Party): string[] {
    const found = this.#found.get(party) ?? addressesOf(party);
    this.#found.set(party, found);
    this.#left -= found.length;
    if (this.#left < 0)
      throw invalid(
        'its parties have too many addresses for so many send ports',
        'export the bindings of one application at a time',
      );
    return found;
  }
}

/** Parties by the send ports that they name. */
function partiesByPort(parties: readonly Party[]): Map<string, Party[]> {
  const found = new Map<string, Party[]>();
  for (const party of parties)
    for (const port of new Set(party.sendPorts)) {
      const those = found.get(port) ?? [];
      those.push(party);
      found.set(port, those);
    }
  return found;
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
  const addresses = new PartyAddresses();
  const byPort = partiesByPort(bindings.parties);
  /** Send ports that became partners. */
  const carried = new Set<string>();
  let partners = 0;
  for (const port of bindings.ports) {
    const note = (text: string) => void notes.push({ of: `send port ${port.name}`, text });
    const parties = byPort.get(port.name) ?? [];
    const [party] = parties;
    if (parties.length > 1)
      note(`several parties use it; the partner has the name of ${oneLine(party?.name ?? '')}`);
    const made = partnerOf({ port, party, addresses }, partnerName, note);
    if (made === undefined) continue;
    carried.add(port.name);
    partners += 1;
    files.push({ name: `partners/${made.name}.yaml.disabled`, text: made.text });
  }
  for (const party of bindings.parties) {
    if (party.sendPorts.some((port) => carried.has(port))) continue;
    const note = (text: string) => void notes.push({ of: `party ${party.name}`, text });
    const those = addresses.of(party);
    if (party.certificate === undefined && those.length === 0) {
      note('it has neither a certificate nor a mail address, and no send port for mail');
      continue;
    }
    partners += 1;
    const name = partnerName(party.name);
    files.push({
      name: `partners/${name}.yaml.disabled`,
      text: receivingPartner(name, party, those, note),
    });
  }
  for (const other of bindings.others)
    notes.push({ of: oneLine(other), text: 'has no counterpart: your systems take over after the hand-off' });
  return { files, notes, mailboxes: mailboxes.length, partners };
}

function partnerHead(what: string): Lines {
  return new Lines()
    .comment(`${what}.`)
    .comment('It counts for nothing before you rename it to end in .yaml, in the folder of partner files.');
}

/** Undefined for a send port that does not send mail. */
function partnerOf(
  {
    port,
    party,
    addresses: parties,
  }: { port: SendPort; party: Party | undefined; addresses: PartyAddresses },
  nameOf: (text: string) => string,
  note: Note,
): { name: string; text: string } | undefined {
  const { primary, backup } = port;
  if (port.isDynamic) {
    note('it is dynamic: partners have fixed addresses; write a partner for each');
    return undefined;
  }
  if (primary === undefined || !(isSmtp(primary.adapter) || isOffice(primary.adapter))) {
    note(`the adapter ${oneLine(primary?.adapter ?? '') || 'without a name'} is not one for mail`);
    return undefined;
  }
  const name = nameOf(party?.name ?? port.name);
  const lines = partnerHead(
    `Send port ${port.name}${party ? `, party ${party.name}` : ''} of BizTalk Server`,
  );
  lines.set('name', name);
  const addresses = [...new Set([...mailAddresses(primary, note), ...(party ? parties.of(party) : [])])];
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
  encoding(lines, port.pipeline, note);
  if (signatureOf(port.pipeline) !== 'none')
    lines.set('identity', 'own', 'Your key that signs: the name of one of your identities.');
  route(lines, name, primary, note);
  if (backup !== undefined) {
    if (isSmtp(backup.adapter)) {
      const host = backup.settings.get('SMTPHost');
      lines.set('backup', { route: host === undefined ? {} : { host } }, 'Backup transport.');
      if (backup.settings.others.length > 0) note('of its backup transport, only the host was carried over');
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
  noteOthers({ settings: primary.settings, pipeline: port.pipeline }, note);
  return { name, text: lines.text };
}

const isSmtp = (adapter: string) => /^SMTP$/i.test(adapter);

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
    ['AttachedFiles', 'attached files'],
    ['MessagePartsAttachments', 'attachments of further parts'],
    ['Importance', 'importance'],
    ['DeliveryReceipt', 'request of delivery receipts'],
    ['ReadReceipt', 'request of read receipts'],
  ] as const) {
    const value = primary.settings.get(setting);
    if (value !== undefined && !/^(?:0|false|normal)$/i.test(value))
      note(`its ${what} comes from your message here`);
  }
}

function route(lines: Lines, name: string, transport: Transport, note: Note): void {
  const { adapter, settings, secrets } = transport;
  if (isOffice(adapter)) {
    const user = settings.get('EmailAddress') ?? settings.get('From') ?? 'user@example.com';
    lines.set(
      'route',
      { host: 'smtp.office365.com', port: 587, user, password: { file: `secrets/${name}` } },
      'Office 365 becomes SMTP, with oauth2 instead of password: see docs/sending.md, "OAuth".',
    );
    note('write oauth2 instead of password: Office 365 takes no passwords over SMTP');
    return;
  }
  if (settings.get('SMTPAuthenticate') === '2')
    note(
      'it logged in as the Windows account of its process (NTLM), which has no counterpart: write user and password',
    );
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

function mailAddresses({ adapter, address, settings }: Transport, note: Note): string[] {
  // the address of an Office 365 port is that of the adapter
  const ofPort = isOffice(adapter) ? '' : address.replace(/^mailto:/i, '');
  const written = [ofPort, settings.get('To') ?? ''].join(';');
  // BizTalk writes the recipient twice: as the address of the port, and as To
  const all = [...new Set(written.split(/[;,]/).map((each) => each.trim()))];
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
  NoSign: 'none',
  ClearSign: 'detached',
  BlobSign: 'opaque',
};

const signatureOf = ({ mime }: Pipeline) => signatures[mime?.get('SignatureType') ?? ''];

function encoding(lines: Lines, pipeline: Pipeline, note: Note): void {
  const { mime: encoder } = pipeline;
  if (encoder === undefined) {
    lines.todo(
      'preset',
      'biztalk',
      'How BizTalk before 2016 protected mail, if the partner knows nothing newer:',
    );
    const name = oneLine(pipeline.name.split(',', 1)[0] ?? '') || 'without a name';
    // These two have no encoder.
    if (/^Microsoft\.BizTalk\.DefaultPipelines\.(?:PassThru|XML)Transmit$/.test(name))
      note(
        `its pipeline ${name} neither signed nor encrypted: here mail is signed and encrypted unless you write encrypt: false and sign: none`,
      );
    else
      note(
        `the settings of its pipeline ${name} are in the pipeline, and not in this file: mail is signed and encrypted unless you write otherwise`,
      );
    return;
  }
  const encrypts = encoder.get('EnableEncryption');
  if (encrypts !== undefined) lines.set('encrypt', isOn(encrypts), 'Enable encryption.');
  else note('its binding does not say whether it encrypts (its pipeline does): here mail is encrypted');
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
  const sign = signatureOf(pipeline);
  if (sign !== undefined) lines.set('sign', sign, `Signature type ${encoder.get('SignatureType')}.`);
  else if (encoder.has('SignatureType'))
    note(
      `its signature type ${oneLine(encoder.get('SignatureType') ?? '')} is not known: here mail is signed`,
    );
  else note('its binding does not say whether it signs (its pipeline does): here mail is signed');
  const adds = encoder.get('AddSigningCertToMessage') ?? encoder.get('AddSigningCertificateToMessage');
  if (adds !== undefined) lines.set('addSigningCertificate', isOn(adds));
  const attaches = encoder.get('SendBodyPartAsAttachment');
  if (attaches !== undefined) lines.set('bodyAsAttachment', isOn(attaches));
  const transfer = encoder.get('ContentTransferEncoding');
  if (transfer !== undefined && !/^base64$/i.test(transfer))
    note(`its content transfer encoding ${oneLine(transfer)} was left out: the outermost object is base64`);
  if (revocationOf(encoder))
    lines.set('revocation', 'hard', 'Check revocation list: mail waits while nothing is known.');
}

/** A party that sends to us, and gets no mail from us. */
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

/** Which texts of a binding file are mail addresses; the configuration checks them again when a person enables them. */
const label = /^[a-z0-9-]{1,63}$/i;

export function isAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  return (
    at > 0 &&
    at <= 64 &&
    text.length <= 254 &&
    /^[\w.+=-]+$/.test(text.slice(0, at)) &&
    isDomain(text.slice(at + 1))
  );
}

/** True for `@example.com`. */
export function domainOf(text: string): boolean {
  return text.startsWith('@') && isDomain(text.slice(1));
}

function isDomain(text: string): boolean {
  const labels = text.split('.');
  const isRight = (each: string) => label.test(each) && !each.startsWith('-') && !each.endsWith('-');
  return text.length <= 253 && labels.length > 1 && labels.every(isRight);
}
