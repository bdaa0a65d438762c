/** The report of a suspended message as a mail. */
import { randomBytes } from 'node:crypto';
import type { FailureReport } from './types.ts';

/**
 * A mail with a sentence for a person, `report.json`, and the original if it is requested and still kept. Parts are
 * octets, and whoever writes the mail encodes them.
 */
export function reportMail(
  { document, original }: FailureReport,
  { hostname, to, date }: { hostname: string; to: readonly string[]; date: string },
): { header: string; pieces: AsyncIterable<Buffer> } {
  const boundary = `report-${randomBytes(12).toString('hex')}`;
  const { id, idempotencyKey, failed, reason, mailbox, partner } = document;
  const header = [
    `From: Sealpost <sealpost@${hostname}>`,
    ...(to.length === 1 ? [`To: <${to[0]}>`] : ['To: undisclosed-recipients:;']),
    `Subject: ${id} is suspended: ${reason.code}`,
    `Date: ${date}`,
    `Message-ID: <${idempotencyKey}@${hostname}>`,
    // RFC 3834: nobody should answer it
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    `Content-Type: multipart/mixed; boundary="${boundary}"`,
    '',
    '',
  ].join('\r\n');
  const where = mailbox === null ? `partner ${partner}` : `mailbox ${mailbox}`;
  const text = [
    `Message ${id} (${where}) is suspended: ${reason.code}, ${reason.explanation}.`,
    `What failed: ${failed.step}${failed.to === null ? '' : ` to ${failed.to}`}.`,
    `See: sealpost messages show ${id}`,
    '',
  ].join('\r\n');
  const part = (type: string, name?: string) => {
    const file = name === undefined ? '' : `Content-Disposition: attachment; filename="${name}"\r\n`;
    const encoding = name === undefined ? '' : 'Content-Transfer-Encoding: binary\r\n';
    return Buffer.from(`\r\n--${boundary}\r\nContent-Type: ${type}\r\n${file}${encoding}\r\n`);
  };
  return {
    header,
    pieces: (async function* () {
      yield part('text/plain; charset=utf-8');
      yield Buffer.from(text);
      yield part('application/json', 'report.json');
      yield Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`);
      if (original) {
        yield part('application/octet-stream', 'original.eml');
        yield* original.open();
      }
      yield Buffer.from(`\r\n--${boundary}--\r\n`);
    })(),
  };
}
