/** What `send` and `encode` take: content, or a mail if the options or the file name say so. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { Outgoing } from '../pipeline/submit.ts';
import { readPieces } from './files.ts';

export interface OutgoingOptions {
  message?: boolean;
  contentType?: string;
}

export function addOutgoingOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--message',
        'the input is a mail (RFC 5322) with its header; so is a file named *.eml without this option',
      ),
    )
    .addOption(
      new Option(
        '--content-type <type>',
        "media type of the content; by the file's name unless given",
      ).conflicts('message'),
    );
}

/** True for standard input, which can be opened only once. */
export const isStandardInput = (file: string) => file === '-';

/** Interprets the input by the options and the file name. Errors: `usage` for an invalid type. */
export function outgoing(file: string, options: OutgoingOptions): Outgoing {
  const open = () => readPieces(file);
  const source = isStandardInput(file) ? 'standard input' : file;
  const isMail = options.message ?? (options.contentType === undefined && /\.eml$/i.test(file));
  if (isMail) return Outgoing.mail(open, source);
  // Controls in the name of a file of the operator's are no reason to refuse it; they become spaces.
  const name = isStandardInput(file) ? undefined : basename(file).replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ');
  return Outgoing.content(open, source, { type: options.contentType, name });
}
