/**
 * Subjects of messages, where `keepSubjects` wants them. They stand in the record (`t`), sealed for their message, and
 * in no other place: nothing that is made of a record has them. There is no index of them; a search opens one after the
 * other.
 */

/** Characters of a subject that are kept. */
export const longestSubject = 250;

export interface Subjects {
  /** As it goes into the record of a message. */
  seal(id: string, subject: string): string;
  /** Null for what was not sealed with our key for this message. */
  open(id: string, sealed: string): string | null;
}

export interface SubjectParts {
  seal(context: string, value: unknown): Buffer;
  /** Throws for what was sealed otherwise. */
  unseal(context: string, sealed: Buffer): unknown;
}

const contextOf = (id: string) => `subject:${id}`;

export function subjectsOf({ seal, unseal }: SubjectParts): Subjects {
  return {
    seal(id, subject) {
      // a pair that is cut in two would be no character
      const kept = subject.slice(0, longestSubject).replace(/[\ud800-\udbff]$/, '');
      return seal(contextOf(id), kept).toString('base64');
    },
    open(id, sealed) {
      try {
        return String(unseal(contextOf(id), Buffer.from(sealed, 'base64')));
      } catch {
        return null;
      }
    },
  };
}

/** Upper and lower case, forms of the same letter and spaces do not count. */
const folded = (text: string) => text.normalize('NFKC').toLowerCase().replaceAll(/\s+/g, ' ').trim();

/** Whether the sealed subject of a message contains a text. */
export type SubjectMatcher = (id: string, sealed: string) => boolean;

export function subjectMatcher({ open }: Pick<Subjects, 'open'>, text: string): SubjectMatcher {
  const wanted = folded(text);
  return (id, sealed) => {
    const subject = open(id, sealed);
    return subject !== null && folded(subject).includes(wanted);
  };
}
