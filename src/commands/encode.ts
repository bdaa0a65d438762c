import { Command, Option } from 'commander';
import { contentCipherOf } from '../cms/algorithms.ts';
import { SealpostError } from '../errors.ts';
import type { Identity } from '../pki/index.ts';
import {
  compressions,
  keyAgreementDigests,
  keyTransports,
  signatureDigests,
  signatureSchemes,
  transferEncodings,
} from '../smime/encode/presets.ts';
import {
  type EncodeOptions,
  encode,
  type PresetName,
  type Protection,
  presetNames,
  protectionOf,
} from '../smime/index.ts';
import { OutputFile } from './files.ts';
import { certificatesOf, identitiesOf } from './keys.ts';
import { collect } from './options.ts';
import { addOutgoingOptions, isStandardInput, type OutgoingOptions, outgoing } from './outgoing.ts';
import { printOctets } from './output.ts';

interface EncodeCommandOptions extends OutgoingOptions {
  to?: string[];
  signKey?: string;
  signCert?: string;
  passwordFile?: string;
  preset: PresetName;
  signForm?: 'opaque' | 'detached';
  digest?: Protection['digest'];
  scheme?: Protection['signatureScheme'];
  contentEncryption?: string;
  deriveKey?: boolean;
  keyTransport?: Protection['keyTransport'];
  keyAgreementDigest?: NonNullable<Protection['keyAgreementDigest']>;
  compress?: Protection['compress'];
  tripleWrap?: boolean;
  headerProtection?: boolean;
  legacyDisplay?: boolean;
  innerTransferEncoding?: Protection['innerTransferEncoding'];
  bodyAsAttachment?: boolean;
  signingCertificate: boolean;
  algorithmProtection?: boolean;
  allowWeak?: boolean;
  out?: string;
}

function optionsOf(options: EncodeCommandOptions, now: Date): EncodeOptions {
  if (options.signKey === undefined && options.signCert !== undefined)
    throw new SealpostError('usage', '--sign-cert needs --sign-key');
  if (options.signKey === undefined && options.to === undefined)
    throw new SealpostError('usage', 'nothing to do: give --to to encrypt, --sign-key to sign, or both');
  if (options.contentEncryption !== undefined) checkCipher(options.contentEncryption);
  const protection = protectionOf(options.preset, {
    contentEncryption: options.contentEncryption,
    sign: options.signForm,
    digest: options.digest,
    signatureScheme: options.scheme,
    deriveKey: options.deriveKey,
    keyTransport: options.keyTransport,
    keyAgreementDigest: options.keyAgreementDigest,
    compress: options.compress,
    tripleWrap: options.tripleWrap,
    headerProtection: options.headerProtection,
    legacyDisplay: options.legacyDisplay,
    innerTransferEncoding: options.innerTransferEncoding,
    bodyAsAttachment: options.bodyAsAttachment,
    algorithmProtection: options.algorithmProtection,
    addSigningCertificate: options.signingCertificate ? undefined : false,
  });
  return {
    ...protection,
    identity: options.signKey === undefined ? undefined : signerOf(options.signKey, options),
    // The first certificate of a file is the recipient's; further ones are its chain.
    recipients: options.to?.flatMap((file) => certificatesOf(file).slice(0, 1)),
    allowWeak: options.allowWeak,
    at: now,
  };
}

function signerOf(key: string, { signCert, passwordFile }: EncodeCommandOptions): Identity | undefined {
  const { identities } = identitiesOf({
    key: [key],
    cert: signCert === undefined ? [] : [signCert],
    ...(passwordFile === undefined ? {} : { passwordFile }),
  });
  return identities[0];
}

/** An unknown name is a usage error. Whether a weak cipher is allowed is checked later. */
function checkCipher(name: string): void {
  if (contentCipherOf(name) !== undefined) return;
  throw new SealpostError('usage', `--content-encryption: there is no cipher ${JSON.stringify(name)}`, {
    hint: 'aes-256-cbc is supported everywhere; others are aes-128-cbc, aes-256-gcm, des-ede3-cbc',
  });
}

async function* encoded(file: string, options: EncodeCommandOptions): AsyncGenerator<Buffer> {
  const mail = outgoing(file, options);
  const message = isStandardInput(file) ? mail.open() : () => mail.open();
  try {
    yield* encode(message, optionsOf(options, new Date()));
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'encode-policy')
      throw new SealpostError(error.code, error.message, {
        hint: 'use a stronger algorithm, or --allow-weak',
        cause: error,
      });
    throw error;
  }
}

async function encodeFile(file: string, options: EncodeCommandOptions): Promise<void> {
  const octets = encoded(file, options);
  if (options.out === undefined || options.out === '-') {
    // Held back until the end, so that a failure leaves no partial output in a pipe.
    for (const chunk of await Array.fromAsync(octets)) printOctets(chunk);
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
  const command = new Command('encode').argument(
    '<file>',
    'content of any kind, or a mail; - for standard input',
  );
  return addOutgoingOptions(command)
    .option('--to <file>', 'certificate to encrypt for, PEM or DER (repeatable)', collect)
    .option('--sign-key <file>', 'private key to sign with; one PEM with key and certificate is fine')
    .option('--sign-cert <file>', 'certificate of that key')
    .option('--password-file <file>', 'file with the password of the key; or set SEALPOST_PASSWORD')
    .addOption(
      new Option('--preset <name>', 'how to protect; the options below override it')
        .choices(presetNames)
        .default('default'),
    )
    .addOption(
      new Option('--sign-form <form>', 'signature inside the CMS object, or multipart/signed').choices([
        'opaque',
        'detached',
      ]),
    )
    .addOption(new Option('--digest <name>', 'digest of the signature').choices(signatureDigests))
    .addOption(new Option('--scheme <name>', 'RSA signature scheme').choices(signatureSchemes))
    .option('--no-signing-certificate', 'send no certificates along')
    .option('--content-encryption <name>', 'such as aes-256-cbc, aes-256-gcm, des-ede3-cbc')
    .option('--derive-key', 'derive the content key from the algorithm identifier too (RFC 9709)')
    .addOption(new Option('--key-transport <name>', 'for RSA keys').choices(keyTransports))
    .addOption(
      new Option('--key-agreement-digest <name>', 'for EC, X25519 and X448 keys').choices(
        keyAgreementDigests,
      ),
    )
    .addOption(new Option('--compress <when>', 'compress below or above the signature').choices(compressions))
    .option('--algorithm-protection', 'sign the names of the algorithms too (RFC 6211)')
    .option('--triple-wrap', 'sign what is signed and encrypted once more')
    .option('--header-protection', 'protect the header fields too (RFC 9788)')
    .option('--legacy-display', 'with it: repeat the hidden subject in the text, for old mail programs')
    .addOption(
      new Option('--inner-transfer-encoding <name>', 'of CMS objects inside others').choices(
        transferEncodings,
      ),
    )
    .option('--body-as-attachment', 'mark a body that is one part as an attachment')
    .option('--allow-weak', 'allow DES, RC2 and signatures with SHA-1')
    .option('--out <file>', 'where the mail goes; default: standard output')
    .action(encodeFile);
}
