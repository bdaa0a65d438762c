/** From a whole mail to the bare CMS object, for the peers that read only that. The mails are those of the tests. */
import { type Artefact, PeerError } from './types.ts';

/** The CMS octets of a message, and the content where the signature is detached from it. */
export function bareCms(message: Artefact): { octets: Buffer; content?: Buffer } {
  if (message.form === 'cms') return message;
  const { headers, body } = split(message.octets);
  const type = header(headers, 'content-type');
  const boundary = /^multipart\/signed/i.test(type) ? /boundary="?([^";]+)"?/i.exec(type)?.[1] : undefined;
  if (boundary === undefined) return { octets: decodeBody(headers, body) };
  const [content, signature] = parts(body, boundary);
  if (content === undefined || signature === undefined)
    throw new PeerError('the mail does not have two parts');
  const inner = split(signature);
  return { octets: decodeBody(inner.headers, inner.body), content };
}

/** A mail around a bare CMS object, as a mail program writes it. */
export function asMail(message: Artefact): Buffer {
  if (message.form === 'mail') return message.octets;
  const head = 'From: peer@example.com\r\nTo: us@example.com\r\nSubject: interop\r\nMIME-Version: 1.0\r\n';
  const encoded = `${message.octets.toString('base64').replace(/.{76}/g, '$&\r\n').trimEnd()}\r\n`;
  if (message.content === undefined)
    return Buffer.from(
      `${head}Content-Type: application/pkcs7-mime; name=smime.p7m\r\n` +
        `Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7m\r\n\r\n${encoded}`,
    );
  const boundary = 'interop-7c0f2a';
  return Buffer.concat([
    Buffer.from(
      `${head}Content-Type: multipart/signed; protocol="application/pkcs7-signature"; ` +
        `boundary="${boundary}"\r\n\r\n--${boundary}\r\n`,
    ),
    message.content,
    Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n` +
        `Content-Transfer-Encoding: base64\r\n\r\n${encoded}\r\n--${boundary}--\r\n`,
    ),
  ]);
}

function split(entity: Buffer): { headers: string; body: Buffer } {
  const text = entity.toString('latin1');
  const end = /\r?\n\r?\n/.exec(text);
  if (end === null) throw new PeerError('the mail has no body');
  return {
    headers: text.slice(0, end.index).replace(/\r?\n[ \t]+/g, ' '),
    body: entity.subarray(end.index + end[0].length),
  };
}

function header(headers: string, name: string): string {
  return new RegExp(`^${name}:[ \\t]*(.*?)\\r?$`, 'im').exec(headers)?.[1] ?? '';
}

function decodeBody(headers: string, body: Buffer): Buffer {
  const encoding = header(headers, 'content-transfer-encoding').toLowerCase();
  return encoding === 'base64' ? Buffer.from(body.toString('latin1'), 'base64') : body;
}

/** The parts between the boundary lines; the line end before a boundary belongs to the boundary (RFC 2046). */
function parts(body: Buffer, boundary: string): Buffer[] {
  const text = `\n${body.toString('latin1')}`;
  const found: Buffer[] = [];
  let start = -1;
  for (let at = text.indexOf(`\n--${boundary}`); at !== -1; at = text.indexOf(`\n--${boundary}`, at + 1)) {
    if (start !== -1) {
      const end = text[at - 1] === '\r' ? at - 1 : at;
      found.push(body.subarray(start - 1, end - 1));
    }
    const lineEnd = text.indexOf('\n', at + 1);
    if (lineEnd === -1) break;
    start = lineEnd + 1;
  }
  return found;
}
