/** What becomes of a receive location for mail: an entry of `mailboxes`. */
import type { Pipeline, Properties, ReceiveLocation } from './bindings.ts';
import { isOn, Lines, type Note, noteOthers, oneLine, type Value } from './lines.ts';

export const mailboxHead = `# From receive locations of BizTalk Server. Nothing here counts before you have put these entries
# into sealpost.yaml. Read each comment first, then run sealpost check.
`;

const isPop3 = (adapter: string) => /^POP3$/i.test(adapter);
export const isOffice = (adapter: string) => /^Office ?365 (?:Outlook )?(?:Mail|Email)$/i.test(adapter);

/** Undefined for a location that does not take mail. */
export function mailboxOf(
  location: ReceiveLocation,
  nameOf: (text: string) => string,
  note: Note,
): string | undefined {
  const { adapter, settings, pipeline, secrets } = location;
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
  decoding(lines, pipeline, settings, note);
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
  // the address once more
  settings.get('uri');
  noteOthers({ settings, pipeline }, note);
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
      // POP3 always deletes. The person has to choose that here.
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

/**
 * Settings of the adapter by their names in binding files: FolderName, PostActionTask (0 none, 1 read, 2 delete) ...
 */
function office(lines: Lines, name: string, settings: Properties, note: Note): void {
  const task = settings.get('PostActionTask') ?? '';
  const isDelete = /^(?:2|delete)$/i.test(task);
  const unread = isOn(settings.get('UnreadMailsOnly') ?? 'false');
  const folder = settings.get('FolderName');
  lines.set(
    'imap',
    {
      host: 'outlook.office365.com',
      user: settings.get('EmailAddress') ?? 'user@example.com',
      password: { file: `secrets/${name}` },
      ...(folder === undefined ? {} : { folder }),
      action: isDelete ? 'delete' : 'seen',
    },
    'Office 365 becomes IMAP, with oauth2 instead of password: see docs/sending.md, "OAuth".',
  );
  note('write oauth2 instead of password: Office 365 takes no passwords over IMAP');
  if (/^(?:0|none|)$/i.test(task))
    note('its post action was to do nothing: here mail is marked as read, since what is unread is fetched');
  if (isDelete && unread)
    note('it read unread mail only: with action delete, all mail of the folder is read and deleted');
  if (!isDelete && !unread) note('it read all mail: here what is unread is read');
  if (settings.has('StartTime'))
    note(
      `its start date ${oneLine(settings.get('StartTime') ?? '')} has no counterpart: what is in the folder is read`,
    );
}

function decoding(lines: Lines, { name, mime: decoder }: Pipeline, settings: Properties, note: Note): void {
  if (decoder === undefined && name !== '')
    note(
      `the settings of its pipeline ${oneLine(name.split(',', 1)[0] ?? '')} are in the pipeline, and not in this file`,
    );
  const of = (name: string, other: string) => {
    const ofAdapter = settings.get(other);
    return decoder?.get(name) ?? ofAdapter;
  };
  const allows = decoder?.get('AllowNonMIMEMessage');
  if (allows !== undefined)
    lines.set('notSmime', isOn(allows) ? 'pass' : 'suspend', 'Allow Non MIME Message of the decoder.');
  const contentType = of('BodyPartContentType', 'bodyPartContentType');
  const index = Number(of('BodyPartIndex', 'bodyPartIndex') ?? 0);
  const body: Record<string, Value> = {};
  if (contentType !== undefined && /^[\w.+-]+\/[\w.+-]+$/.test(contentType)) body.contentType = contentType;
  // "body" and "text/" are the default order anyway
  else if (contentType !== undefined && !/^(?:body|text\/|)$/i.test(contentType))
    note(`its body part content type ${oneLine(contentType)} is none`);
  if (Number.isSafeInteger(index) && index > 0) body.index = index;
  if (Object.keys(body).length > 0) lines.set('bodyPart', body, 'Body part of the decoder.');
  const checks = revocationOf(decoder);
  if (decoder && checks === undefined)
    note(
      'its binding does not say whether it checks revocation lists (its pipeline does, by default it does): see trust.revocation.mode, which is for the whole installation',
    );
  else if (checks)
    note('it checked revocation lists: set trust.revocation.mode, which is for the whole installation');
  if (decoder && allows === undefined)
    note(
      'its binding does not say what becomes of mail that is not MIME (its pipeline does, by default it is refused): see notSmime',
    );
  if (settings.has('applyMIME') && !isOn(settings.get('applyMIME') ?? ''))
    note('it applied no MIME decoding: message.eml is the whole mail, and parts stand beside it');
}

/** Binding files and pipelines call it ValidateCRL, what the console of BizTalk shows as Check Revocation List. */
export function revocationOf(component: Properties | undefined): boolean | undefined {
  const written = component?.get('ValidateCRL') ?? component?.get('CheckRevocationList');
  return written === undefined ? undefined : isOn(written);
}
