/** Composes a mail of text and attachments as its parts come. Nodemailer writes the header and the texts. */
import { randomBytes } from 'node:crypto';
import MimeNode from 'nodemailer/lib/mime-node';
import { SealpostError } from '../errors.ts';
import { contentHeader } from '../message/index.ts';
import { contentType, nameProblem } from '../pipeline/submit.ts';

export interface MailText {
  from?: string | undefined;
  subject?: string | undefined;
  text?: string | undefined;
  html?: string | undefined;
}

export interface Attachment {
  filename: string;
  /** Derived from the file name unless given. */
  contentType?: string | undefined;
  octets: Iterable<Buffer> | AsyncIterable<Buffer>;
}

/** Nothing is ever fetched for a mail, whatever it contains. */
const closed = { newline: 'win', disableFileAccess: true, disableUrlAccess: true };

/**
 * The octets of a mail. Date and Message-ID are left to `submit`. Without attachments it is a text, or two
 * alternatives. With attachments it is a multipart/mixed, whose attachments are binary: the sender encodes them as its
 * route needs.
 *
 * Errors: `request-invalid` for a mail without any content, or a media type that an attachment cannot have.
 */
export async function* composeMail(
  mail: MailText,
  attachments: Iterable<Attachment> | AsyncIterable<Attachment>,
): AsyncGenerator<Buffer> {
  const body = bodyOf(mail);
  const boundary = `sealpost-${randomBytes(16).toString('hex')}`;
  const open = Buffer.from(`--${boundary}\r\n`);
  let mixed = false;
  for await (const { filename, contentType: type, octets } of attachments) {
    if (!mixed) {
      yield mixedHeader(mail, boundary);
      if (body) yield* [open, withoutOwn(await body.build()), Buffer.from('\r\n')];
      mixed = true;
    }
    yield* [open, headerOf(filename, type)];
    yield* octets;
    yield Buffer.from('\r\n');
  }
  if (mixed) {
    yield Buffer.from(`--${boundary}--\r\n`);
    return;
  }
  if (!body) throw new SealpostError('request-invalid', 'the mail has no text, HTML or attachment');
  setFields(body, mail);
  yield withoutOwn(await body.build());
}

function bodyOf({ text, html }: MailText): MimeNode | undefined {
  if (text !== undefined && html !== undefined) {
    const both = new MimeNode('multipart/alternative', closed);
    both.createChild('text/plain; charset=utf-8').setContent(text);
    both.createChild('text/html; charset=utf-8').setContent(html);
    return both;
  }
  if (text !== undefined) return new MimeNode('text/plain; charset=utf-8', closed).setContent(text);
  return html === undefined ? undefined : new MimeNode('text/html; charset=utf-8', closed).setContent(html);
}

function setFields(node: MimeNode, { from, subject }: MailText): void {
  if (from !== undefined) node.setHeader('From', { name: '', address: from });
  if (subject !== undefined) node.setHeader('Subject', subject);
}

function mixedHeader(mail: MailText, boundary: string): Buffer {
  const node = new MimeNode(`multipart/mixed; boundary="${boundary}"`, closed);
  setFields(node, mail);
  return withoutOwn(Buffer.from(`${node.buildHeaders()}\r\n\r\n`));
}

/** Without Date and Message-ID: nodemailer would put the name of this machine into them. */
function withoutOwn(octets: Buffer): Buffer {
  const end = octets.indexOf('\r\n\r\n');
  const header = octets.toString('latin1', 0, end + 2);
  const kept = header.replaceAll(/^(?:Date|Message-ID):.*\r\n(?:[ \t].*\r\n)*/gim, '');
  return Buffer.concat([Buffer.from(kept, 'latin1'), octets.subarray(end + 2)]);
}

function headerOf(filename: string, type: string | undefined): Buffer {
  const problem = nameProblem(filename);
  if (problem) throw problem;
  try {
    return contentHeader(type ?? contentType(filename), filename);
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'usage')
      throw new SealpostError('request-invalid', `attachment: ${error.message}`);
    throw error;
  }
}
