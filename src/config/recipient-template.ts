import { parseMailbox } from '../message/mailbox.ts';

/** Stands for an address of the message. It must be the whole template. */
type WholePlaceholder = 'recipient' | 'to';
/** Stands for a part of a local part. */
type LocalPlaceholder = 'local' | 'mailbox' | 'partner';

/** A recipient for a destination, with placeholders for values from the message. */
export type RecipientTemplate =
  | { kind: 'message'; of: WholePlaceholder }
  /** Text and placeholders in turn. The domain is written out, so a message cannot choose it. */
  | { kind: 'fixed'; pieces: readonly (string | { of: LocalPlaceholder })[] };

const whole = /^\{(recipient|to)\}$/;
const places = /\{(local|mailbox|partner)\}/;

/** Parses a template, or returns a sentence about what is wrong with it. */
export function parseRecipientTemplate(text: string): RecipientTemplate | string {
  const of = whole.exec(text)?.[1];
  if (of === 'recipient' || of === 'to') return { kind: 'message', of };
  // odd entries are the names
  const pieces = text
    .split(places)
    .map((piece, at) => (at % 2 === 0 ? piece : { of: piece as LocalPlaceholder }));
  const literal = pieces.filter((piece) => typeof piece === 'string').join('');
  if (/[{}]/.test(literal)) return 'has an unknown placeholder; {recipient} and {to} must stand alone';
  if (typeof pieces.at(-1) !== 'string' || !String(pieces.at(-1)).includes('@'))
    return 'has a placeholder in its domain, or no domain';
  try {
    parseMailbox(pieces.map((piece) => (typeof piece === 'string' ? piece : 'x')).join(''), { utf8: true });
  } catch {
    return 'is not an address';
  }
  return { kind: 'fixed', pieces };
}
