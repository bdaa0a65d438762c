/** Forms as browsers send them: `application/x-www-form-urlencoded`, bounded in size and time. */
import type { IncomingMessage } from 'node:http';
import { refusal } from '../api/index.ts';

const mostOctets = 256 * 1024;
const mostFields = 2000;
const lasts = 20_000;

/** Fields of a form, in order. */
export class Form {
  readonly #fields: URLSearchParams;

  constructor(fields = new URLSearchParams()) {
    this.#fields = fields;
  }

  /** The first field of that name; '' if there is none. */
  get(name: string): string {
    return this.#fields.get(name) ?? '';
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  /** All fields of that name: check boxes. */
  all(name: string): string[] {
    return this.#fields.getAll(name);
  }

  /** The fields of the page itself, without those that the console adds. */
  entries(): [string, string][] {
    return [...this.#fields].filter(([name]) => !name.startsWith('_'));
  }
}

/** Errors: `media-type-unsupported`, `message-too-large`, `request-timeout`, `request-invalid`. */
export async function readForm(request: IncomingMessage): Promise<Form> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/x-www-form-urlencoded *(?:;|$)/i.test(type))
    throw refusal('media-type-unsupported', 'the body is not a form of the console');
  if (Number(request.headers['content-length'] ?? 0) > mostOctets) throw tooLarge();
  const late = setTimeout(
    () => request.destroy(refusal('request-timeout', 'the form came too slowly')),
    lasts,
  );
  const chunks: Buffer[] = [];
  let octets = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      octets += chunk.length;
      if (octets > mostOctets) throw tooLarge();
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  const fields = new URLSearchParams(Buffer.concat(chunks).toString());
  if (fields.size > mostFields) throw refusal('request-invalid', 'the form has too many fields');
  return new Form(fields);
}

const tooLarge = () => refusal('message-too-large', `the form is larger than ${mostOctets} octets`);
