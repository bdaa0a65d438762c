import { Command, Option } from 'commander';
import { freshEncryption } from '../cms/ciphers.ts';
import { SealpostError } from '../errors.ts';
import { type EncodeOptions, encode } from '../smime/index.ts';
import { OutputFile, readPieces } from './files.ts';
import { certificatesOf, identitiesOf } from './keys.ts';
import { collect } from './options.ts';

interface EncodeCommandOptions {
  to?: string[];
  signKey?: string;
  signCert?: string;
  passwordFile?: string;
  signForm: 'opaque' | 'detached';
  digest: string;
  scheme: 'pkcs1' | 'pss';
  contentEncryption: string;
  keyTransport: 'pkcs1' | 'oaep-sha1' | 'oaep-sha256' | 'oaep-sha384' | 'oaep-sha512';
  allowWeak?: boolean;
  out?: string;
}

function optionsOf(options: EncodeCommandOptions, now: Date): EncodeOptions {
  const encoding: EncodeOptions = {};
  if (options.signKey !== undefined) {
    const { identities } = identitiesOf({
      key: [options.signKey],
      cert: options.signCert === undefined ? [] : [options.signCert],
      ...(options.passwordFile === undefined ? {} : { passwordFile: options.passwordFile }),
    });
    const [identity] = identities;
    if (identity)
      encoding.sign = {
        identity,
        form: options.signForm,
        digest: options.digest,
        scheme: options.scheme,
        at: now,
        allowWeak: options.allowWeak ?? false,
      };
  } else if (options.signCert !== undefined) throw new SealpostError('usage', '--sign-cert needs --sign-key');
  if (options.to !== undefined) {
    checkCipher(options.contentEncryption);
    encoding.encrypt = {
      // The first certificate of a file is the recipient's; further ones are its chain.
      recipients: options.to.flatMap((file) => certificatesOf(file).slice(0, 1)),
      contentEncryption: options.contentEncryption,
      keyTransport: options.keyTransport,
      allowWeak: options.allowWeak ?? false,
    };
  }
  if (!encoding.sign && !encoding.encrypt)
    throw new SealpostError('usage', 'nothing to do: give --to to encrypt, --sign-key to sign, or both');
  return encoding;
}

/** An unknown name is a wrong call; whether a weak one is allowed shows later. */
function checkCipher(name: string): void {
  try {
    freshEncryption(name, { allowWeak: true });
  } catch (cause) {
    throw new SealpostError('usage', `--content-encryption: there is no cipher ${JSON.stringify(name)}`, {
      hint: 'aes-256-cbc is what everybody reads; others are aes-128-cbc, aes-256-gcm, des-ede3-cbc',
      cause,
    });
  }
}

async function* encoded(file: string, options: EncodeCommandOptions): AsyncGenerator<Buffer> {
  let octets = 0;
  async function* counted() {
    for await (const piece of readPieces(file)) {
      octets += piece.length;
      yield piece;
    }
  }
  try {
    yield* encode(counted(), optionsOf(options, new Date()));
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'encode-policy')
      throw new SealpostError(error.code, error.message, {
        hint: 'use what is not weak, or say --allow-weak',
        cause: error,
      });
    throw error;
  }
  if (octets === 0) throw new SealpostError('message-empty', `${file}: the message has no octets`);
}

async function encodeFile(file: string, options: EncodeCommandOptions): Promise<void> {
  const octets = encoded(file, options);
  if (options.out === undefined || options.out === '-') {
    // Held back until the end, so that a failure leaves nothing half in a pipe.
    for (const chunk of await Array.fromAsync(octets)) process.stdout.write(chunk);
    return;
  }
  const output = await OutputFile.create(options.out);
  try {
    for await (const chunk of octets) await output.write(chunk);
  } catch (error) {
    await output.abort();
    throw error;
  }
  await output.commit();
}

export function encodeCommand(): Command {
  return new Command('encode')
    .description('sign and encrypt a mail: signed first, then encrypted')
    .argument('<file>', 'a mail (RFC 5322); - for standard input')
    .option('--to <file>', 'certificate to encrypt for, PEM or DER (repeatable)', collect)
    .option('--sign-key <file>', 'private key to sign with; one PEM with key and certificate is fine')
    .option('--sign-cert <file>', 'certificate of that key')
    .option('--password-file <file>', 'file with the password of the key; or set SEALPOST_PASSWORD')
    .addOption(
      new Option('--sign-form <form>', 'signature inside the CMS object, or multipart/signed')
        .choices(['opaque', 'detached'])
        .default('opaque'),
    )
    .addOption(
      new Option('--digest <name>', 'digest of the signature')
        .choices(['sha1', 'sha256', 'sha384', 'sha512'])
        .default('sha256'),
    )
    .addOption(
      new Option('--scheme <name>', 'RSA signature scheme').choices(['pkcs1', 'pss']).default('pkcs1'),
    )
    .option('--content-encryption <name>', 'such as aes-256-cbc, aes-128-cbc, des-ede3-cbc', 'aes-256-cbc')
    .addOption(
      new Option('--key-transport <name>', 'RSA key transport')
        .choices(['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'])
        .default('pkcs1'),
    )
    .option('--allow-weak', 'allow DES, RC2 and signatures with SHA-1')
    .option('--out <file>', 'where the mail goes; default: standard output')
    .action(encodeFile);
}
