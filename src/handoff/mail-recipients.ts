import { AddressBook, parseRecipientTemplate } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { parseMailbox } from '../message/index.ts';

/** The values for the placeholders in templates. */
export interface RecipientFacts {
  /** Envelope recipients that the message came for. */
  recipients: readonly string[];
  /** To and Cc of the decoded mail. */
  to: readonly string[];
  mailbox: string;
  partner: string | null;
}

/** Makes the recipients of a mail from the templates of a destination. */
export class RecipientRules {
  readonly #templates: readonly string[];
  readonly #allowed = new AddressBook<true>();

  /** @param settings as checked with the configuration */
  constructor({ recipients, allow }: { recipients: readonly string[]; allow: readonly string[] }) {
    this.#templates = recipients;
    this.#allowed.addAll(allow, true);
  }

  /** Each recipient once, in order. `left` lists those that were not allowed, or are not addresses. */
  of(facts: RecipientFacts): { recipients: string[]; left: string[] } {
    const found = new Map<string, string>();
    const left: string[] = [];
    for (const text of this.#templates)
      for (const { address, chosen } of filled(text, facts)) {
        const key = keyOf(address);
        if (key === undefined || (chosen && this.#allowed.findText(address) === undefined))
          left.push(address);
        else if (!found.has(key)) found.set(key, address);
      }
    return { recipients: [...found.values()], left };
  }
}

function keyOf(address: string): string | undefined {
  try {
    return parseMailbox(address, { utf8: true }).key;
  } catch (error) {
    if (error instanceof SealpostError) return undefined;
    throw error;
  }
}

/** `chosen`: by the message, so it needs permission. */
function filled(text: string, facts: RecipientFacts): { address: string; chosen: boolean }[] {
  const template = parseRecipientTemplate(text);
  if (typeof template === 'string') return [];
  if (template.kind === 'message')
    return facts[template.of === 'to' ? 'to' : 'recipients'].map((address) => ({ address, chosen: true }));
  const { pieces } = template;
  const perRecipient = pieces.some((piece) => typeof piece !== 'string' && piece.of === 'local');
  const locals = perRecipient ? facts.recipients.map((each) => each.slice(0, each.lastIndexOf('@'))) : [''];
  return locals.map((local) => {
    const values = { local, mailbox: facts.mailbox, partner: facts.partner ?? 'unknown' };
    const address = pieces.map((piece) => (typeof piece === 'string' ? piece : values[piece.of])).join('');
    return { address, chosen: false };
  });
}
