/** Ids as people give them: whole, or the first characters of one. */
import { SealpostError } from '../errors.ts';
import type { Ledger } from '../queue/index.ts';

/** Candidates that an error names. */
const mostNamed = 10;

/** `message-unknown`; `message-ambiguous` names candidates. */
export async function wholeId(ledger: Pick<Ledger, 'matching'>, text: string): Promise<string> {
  const found = await ledger.matching(text, mostNamed + 1);
  const [id] = found;
  if (id === undefined)
    throw new SealpostError('message-unknown', `there is no message ${text}`, {
      hint: 'see sealpost messages list',
    });
  if (found.length === 1) return id;
  const named = found.slice(0, mostNamed).sort().join(', ');
  throw new SealpostError(
    'message-ambiguous',
    `${text} is the beginning of ${found.length > mostNamed ? 'many ids, such as' : `${found.length} ids:`} ${named}`,
    { hint: 'give more characters of the id' },
  );
}
