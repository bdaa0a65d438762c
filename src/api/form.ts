/** multipart/form-data (RFC 7578) as a stream: the part `message` first, then files, one after the other. */
import type { Readable } from 'node:stream';
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import { SealpostError } from '../errors.ts';
import type { Attachment } from './compose.ts';
import { refusal } from './problem.ts';

const mostFiles = 100;
const largestMessage = 1024 * 1024;

export interface Form {
  /** Of the part `message`. */
  message: Buffer;
  /** Each is read to its end before the next one. A form that is cut ends with an error. */
  files: AsyncIterable<Attachment>;
}

interface File {
  stream: Readable;
  filename: string;
  type: string;
}

/** What has arrived of a form, for one reader. */
class Arrived {
  readonly #files: File[] = [];
  #message: Buffer | undefined;
  #error: SealpostError | undefined;
  #over = false;
  #wake = Promise.withResolvers<void>();

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  message(octets: Buffer): void {
    if (this.#message !== undefined)
      this.fail(refusal('request-invalid', 'the form has a field beside its first part, message'));
    this.#message ??= octets;
    this.#notify();
  }

  file(file: File): void {
    file.stream.on('error', (error) => this.fail(error));
    if (this.#message === undefined)
      this.fail(refusal('request-invalid', 'the form does not begin with a part message'));
    this.#files.push(file);
    this.#notify();
  }

  /** The first error counts. Files that wait for their reader end with it. */
  fail(error: unknown): void {
    this.#error ??= ours(error);
    for (const { stream } of this.#files) stream.destroy(this.#error);
    this.#notify();
  }

  end(): void {
    this.#over = true;
    if (this.#message === undefined) this.fail(refusal('request-invalid', 'the form has no part message'));
    this.#notify();
  }

  get error(): SealpostError | undefined {
    return this.#error;
  }

  async first(): Promise<Buffer> {
    for (;;) {
      if (this.#error) throw this.#error;
      if (this.#message) return this.#message;
      await this.#wake.promise;
    }
  }

  /** The next file; undefined at the end of the form. */
  async next(): Promise<File | undefined> {
    for (;;) {
      if (this.#error) throw this.#error;
      const file = this.#files.shift();
      if (file || this.#over) return file;
      await this.#wake.promise;
    }
  }
}

/** Errors: `request-invalid`, and those of the body. */
export async function readForm(contentType: string, body: AsyncIterable<Buffer>): Promise<Form> {
  const form = openForm(contentType);
  const arrived = new Arrived();
  const wrong = (what: string) => () => arrived.fail(refusal('request-invalid', what));
  form.on('field', (name, value, _nameCut, valueCut) => {
    if (name === 'message' && !valueCut) arrived.message(Buffer.from(value));
    else arrived.fail(refusal('request-invalid', 'the form has a field beside its first part, message'));
  });
  form.on('file', (_name, stream, filename, _encoding, type) => {
    arrived.file({ stream, filename: String(filename ?? ''), type });
  });
  form.on('filesLimit', wrong(`the form has more than ${mostFiles} files`));
  form.on('fieldsLimit', wrong('the form has a field beside its first part, message'));
  form.on('partsLimit', wrong(`the form has more than ${mostFiles} files`));
  form.on('error', (error) => arrived.fail(error));
  form.on('finish', () => arrived.end());
  void feed(form, body, arrived);
  return { message: await arrived.first(), files: filesOf(arrived) };
}

/** Feeds the body to the parser, as fast as its files are read. */
async function feed(form: BusboyInstance, body: AsyncIterable<Buffer>, arrived: Arrived): Promise<void> {
  try {
    for await (const chunk of body) {
      if (arrived.error) return;
      await new Promise<void>((resolve) => form.write(chunk, () => resolve()));
    }
    form.end();
  } catch (error) {
    arrived.fail(error);
  }
}

function openForm(contentType: string): BusboyInstance {
  const limits = {
    ...{ files: mostFiles, fields: 1, parts: mostFiles + 1, headerPairs: 20, headerSize: 16_384 },
    ...{ fieldNameSize: 100, fieldSize: largestMessage },
  };
  try {
    return new Busboy({ headers: { 'content-type': contentType }, limits });
  } catch {
    throw refusal('request-invalid', 'the form has no boundary');
  }
}

async function* filesOf(arrived: Arrived): AsyncGenerator<Attachment> {
  for (let file = await arrived.next(); file; file = await arrived.next()) {
    const { stream, filename, type } = file;
    if (filename === '') throw refusal('request-invalid', 'a file of the form has no name');
    yield { filename, contentType: type, octets: octetsOf(stream, arrived) };
  }
}

async function* octetsOf(stream: Readable, arrived: Arrived): AsyncGenerator<Buffer> {
  try {
    yield* stream;
  } catch (error) {
    throw arrived.error ?? ours(error);
  }
}

function ours(error: unknown): SealpostError {
  if (error instanceof SealpostError) return error;
  return new SealpostError('request-invalid', 'the form is cut or malformed', { cause: error });
}
