/** What a client may do. Everything that is not granted is refused, at every door alike. */
import { AddressBook, type Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';

export const verbs = [
  'send',
  'read',
  'content',
  'resume',
  'retry',
  'decode-again',
  'replay',
  'terminate',
  'certificates',
  'approve',
  'alerts',
  'silence',
  'routes',
  'users',
  'clients',
  'check',
] as const;
export type Verb = (typeof verbs)[number];

/** Names, or `*` for all of them, including those that will be configured later. */
export type Names = '*' | string[];

export interface Grants {
  verbs: Verb[];
  /** Partners that it may send to, and whose outbound messages it may see. */
  partners: Names;
  /** Mailboxes whose messages it may see. */
  mailboxes: Names;
  /** Addresses that its mail may come from, in the forms of `partners[].addresses`; `*` for any. */
  senders: Names;
  /** Identities that may sign its mail. */
  identities: Names;
  limits: Limits;
}

export interface Limits {
  /** Messages a minute; 0 for no limit. */
  messages: number;
  /** Octets a minute; 0 for no limit. */
  octets: number;
  /** Octets of one message; 0 for the limit of the door. */
  size: number;
}

export const noLimits: Limits = { messages: 0, octets: 0, size: 0 };

/** What is limited, in words. */
export function limitTexts({ messages, octets, size }: Limits): string[] {
  return [
    ...(messages > 0 ? [`${messages} messages a minute`] : []),
    ...(octets > 0 ? [`${octets} octets a minute`] : []),
    ...(size > 0 ? [`${size} octets a message`] : []),
  ];
}

/** What one credential narrows the grants of a client to. */
export type Scope = { [Name in keyof Omit<Grants, 'limits'>]?: Grants[Name] | undefined };

export const allGranted: Grants = {
  verbs: [...verbs],
  partners: '*',
  mailboxes: '*',
  senders: '*',
  identities: '*',
  limits: noLimits,
};

/** Narrower grants: only what both allow. */
export function narrowed(grants: Grants, by: Scope, limits: Limits = noLimits): Grants {
  const both = (a: Names, b: Names | undefined): Names => {
    if (b === undefined || b === '*') return a;
    return a === '*' ? b : a.filter((each) => b.includes(each));
  };
  return {
    verbs: grants.verbs.filter((verb) => by.verbs?.includes(verb) ?? true),
    partners: both(grants.partners, by.partners),
    mailboxes: both(grants.mailboxes, by.mailboxes),
    senders: both(grants.senders, by.senders),
    identities: both(grants.identities, by.identities),
    limits: lower(grants.limits, limits),
  };
}

/** The lower one of each two limits. */
function lower(limits: Limits, by: Limits): Limits {
  const both = (a: number, b: number) => (a === 0 || b === 0 ? a + b : Math.min(a, b));
  return {
    messages: both(limits.messages, by.messages),
    octets: both(limits.octets, by.octets),
    size: both(limits.size, by.size),
  };
}

/** Whether somebody else's grants are within one's own: nobody can grant more than they have. */
export function covers(own: Grants, other: Grants): boolean {
  const has = (mine: Names, wanted: Names) =>
    mine === '*' || (wanted !== '*' && wanted.every((name) => includes(mine, name)));
  const within = (mine: number, wanted: number) => mine === 0 || (wanted !== 0 && wanted <= mine);
  // The other grants limit sending, and do not matter for a client that sends nothing.
  const sends =
    !other.verbs.includes('send') ||
    (has(own.senders, other.senders) &&
      has(own.identities, other.identities) &&
      within(own.limits.messages, other.limits.messages) &&
      within(own.limits.octets, other.limits.octets) &&
      within(own.limits.size, other.limits.size));
  return (
    sends &&
    other.verbs.every((verb) => own.verbs.includes(verb)) &&
    has(own.partners, other.partners) &&
    has(own.mailboxes, other.mailboxes)
  );
}

/** Whether somebody else sees no mail that one does not see. */
export function seesAllOf(own: Grants, other: Pick<Grants, 'mailboxes' | 'partners'>): boolean {
  return covers(
    { ...allGranted, mailboxes: own.mailboxes, partners: own.partners },
    { ...allGranted, ...other },
  );
}

/** Whether a client sees the whole installation. */
export const seesAll = ({ grants }: Pick<Client, 'grants'>): boolean =>
  grants.mailboxes === '*' && grants.partners === '*';

/** The grants, with those replaced that the scope names. */
export function replaced(grants: Grants, by: Scope): Grants {
  return {
    verbs: by.verbs ?? grants.verbs,
    partners: by.partners ?? grants.partners,
    mailboxes: by.mailboxes ?? grants.mailboxes,
    senders: by.senders ?? grants.senders,
    identities: by.identities ?? grants.identities,
    limits: grants.limits,
  };
}

/** The names that grants may contain. */
export type Named = Pick<Config, 'partners' | 'mailboxes' | 'identities'>;

/** Errors: `usage` for a name that the configuration does not have. */
export function checkNames(
  { partners, mailboxes, identities }: Pick<Scope, 'partners' | 'mailboxes' | 'identities'>,
  config: Named,
): void {
  const kinds = [
    ['partner', partners, config.partners],
    ['mailbox', mailboxes, config.mailboxes],
    ['identity', identities, config.identities],
  ] as const;
  for (const [what, names, known] of kinds)
    for (const name of names === '*' ? [] : (names ?? []))
      if (!known.some((each) => each.name.toLowerCase() === name.toLowerCase()))
        throw new SealpostError('usage', `there is no ${what} ${name}`, {
          hint: "write a name of the configuration, or '*'",
        });
}

/** For the audit trail. */
export const namesLine = (names: Names | readonly string[]): string =>
  names === '*' ? 'all' : names.join(' ') || 'none';

/** The facts of a message that decide who may see it. */
export interface Seen {
  direction: 'inbound' | 'outbound';
  mailbox: string | null;
  partner: string | null;
}

/** What names of people begin with, as clients. */
export const personPrefix = 'person:';

/**
 * Who asks for something. A door gets a client from the registry, for a token, login or name that it has checked; the
 * command line is `operator`. Nothing else creates one, so having a `Client` is the proof.
 */
export class Client {
  readonly name: string;
  readonly grants: Grants;
  /** Id of the token or login; '' if the door is bound to the client itself. */
  readonly credential: string;
  /** Its name in the ledger and the audit trail. */
  readonly actor: string;
  /** Limits of the client with all its credentials. Those of `grants` hold for this credential, and are no higher. */
  readonly shared: Limits;
  #senders: AddressBook<true> | undefined;

  constructor(
    name: string,
    grants: Grants,
    credential = '',
    actor = `client ${name}, token ${credential}`,
    shared = grants.limits,
  ) {
    this.name = name;
    this.grants = grants;
    this.credential = credential;
    this.actor = actor;
    this.shared = shared;
  }

  /**
   * Whose limits and places apply: those of the client with all its tokens, or those of the person, whose name another
   * one may have later. No client can have such a name: `checkClientName` takes no colon.
   */
  get holder(): string {
    return this.name.startsWith(personPrefix) ? `person-id:${this.credential}` : this.name;
  }

  may(verb: Verb): boolean {
    return this.grants.verbs.includes(verb);
  }

  mayUsePartner(partner: string): boolean {
    return includes(this.grants.partners, partner);
  }

  maySignAs(identity: string): boolean {
    return includes(this.grants.identities, identity);
  }

  /** @param address an envelope address, or one of a From field */
  maySendFrom(address: string): boolean {
    const { senders } = this.grants;
    if (senders === '*') return true;
    if (this.#senders === undefined) {
      this.#senders = new AddressBook<true>();
      this.#senders.addAll(senders, true);
    }
    return this.#senders.findText(address) === true;
  }

  /**
   * Whether it may see a message. For an inbound message, only the mailbox counts: the sender may be known from a From
   * field alone, and that grants nothing.
   */
  maySee({ direction, mailbox, partner }: Seen): boolean {
    if (direction === 'inbound') return mailbox !== null && includes(this.grants.mailboxes, mailbox);
    return partner !== null && includes(this.grants.partners, partner);
  }
}

/** The person at the machine's command line, who can read the keys anyway. */
export const operatorClient = new Client('operator', allGranted);

/** Sealpost itself, for mail that it writes on its own. It is sent as your mail would be. */
export const daemonClient = new Client('sealpost', allGranted);

function includes(granted: '*' | readonly string[], wanted: string): boolean {
  return granted === '*' || granted.some((each) => each.toLowerCase() === wanted.toLowerCase());
}
