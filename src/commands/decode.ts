import { Command } from 'commander';
import { loadConfig, loadKeys } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { authoritiesOf, pinsOf } from '../partner/index.ts';
import { type DecodeOptions, type DecodeResult, decodeReopenable } from '../smime/index.ts';
import { OutputFile, readPieces } from './files.ts';
import { certificatesOf, identitiesOf, type KeyOptions } from './keys.ts';
import { collect } from './options.ts';
import { printError, printJson, printLine, printOctets } from './output.ts';
import { PieceFiles } from './piece-files.ts';
import { describeVerdict } from './verdict-text.ts';

interface DecodeCommandOptions extends KeyOptions {
  config?: string;
  offline?: boolean;
  trust?: string[];
  at?: string;
  out?: string;
  pieces?: string;
  content?: string;
  json?: boolean;
}

function parseTime(text: string | undefined): Date {
  if (text === undefined) return new Date();
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new SealpostError('usage', `--at: ${JSON.stringify(text)} is not an ISO 8601 time`, {
      hint: 'write it like 2026-01-31T12:00:00Z',
    });
  return time;
}

/**
 * Keys and trust from the options and from the configuration, with its limits and the authorities that may be asked.
 * Without a configuration, nobody is asked.
 */
async function materialOf(
  options: DecodeCommandOptions,
  at: Date,
): Promise<Pick<DecodeOptions, 'identities' | 'trust' | 'limits'>> {
  const { identities, certificates } = identitiesOf(options);
  const anchors = (options.trust ?? []).flatMap(certificatesOf);
  if (options.config === undefined) return { identities, trust: { anchors, intermediates: certificates } };
  const config = await loadConfig(options.config);
  const keys = await loadKeys(config);
  // No mailbox is named here, so the trust of all of them counts.
  const trusts = [...keys.mailboxes.values()].map(({ trust }) => trust);
  return {
    identities: [...identities, ...keys.identities],
    trust: {
      anchors: [...anchors, ...keys.anchors, ...trusts.flatMap((trust) => trust.anchors)],
      intermediates: [
        ...certificates,
        ...keys.intermediates,
        ...trusts.flatMap((trust) => trust.intermediates ?? []),
      ],
      pinned: pinsOf(keys.partners.values())(at),
      ...(options.offline ? {} : authoritiesOf(config.trust)?.(new Date())),
    },
    limits: config.limits,
  };
}

/** Decodes and writes the content. The file appears only if everything could be decoded. */
async function decodeFile(
  file: string,
  options: DecodeCommandOptions,
): Promise<Pick<DecodeResult, 'verdict' | 'detail'>> {
  const at = parseTime(options.at);
  const material = await materialOf(options, at);
  const toFile = options.out !== undefined && options.out !== '-';
  const output = toFile && options.out !== undefined ? await OutputFile.create(options.out) : undefined;
  const { content } = options;
  const pieces = options.pieces === undefined ? undefined : await PieceFiles.create(options.pieces);
  const held: Buffer[] = [];
  const write = (chunk: Buffer) => {
    if (output) return output.write(chunk);
    if (options.out === '-') held.push(Buffer.from(chunk));
    return undefined;
  };
  try {
    const open = file === '-' ? await rereadable() : () => readPieces(file);
    const { verdict, detail } = await decodeReopenable(open, {
      ...material,
      at,
      output: {
        write,
        restart: async () => {
          held.length = 0;
          await output?.restart();
          await pieces?.abort();
        },
      },
      ...(content !== undefined && { detached: () => readPieces(content) }),
      ...(pieces && { embeddedOutput: ({ path }) => pieces.open(path) }),
    });
    if (verdict.status === 'ok') {
      await output?.commit();
      await pieces?.commit(verdict);
      for (const chunk of held) printOctets(chunk);
    } else await Promise.all([output?.abort(), pieces?.abort()]);
    return { verdict, detail };
  } catch (error) {
    await Promise.all([output?.abort(), pieces?.abort()]);
    throw error;
  }
}

/** Standard input can be read only once, so it is kept in memory. */
async function rereadable(): Promise<() => AsyncIterable<Buffer>> {
  const pieces = await Array.fromAsync(readPieces('-'));
  return async function* () {
    yield* pieces;
  };
}

export function decodeCommand(): Command {
  return new Command('decode')
    .argument('<file>', 'a mail (RFC 5322), or a bare CMS object in DER or PEM; - for standard input')
    .option(
      '--key <file>',
      'own private key, PEM or DER; one PEM with key and certificate is fine (repeatable)',
      collect,
    )
    .option('--cert <file>', 'certificate of a key, PEM or DER (repeatable)', collect)
    .option('--p12 <file>', 'PKCS#12 file with key and certificate (repeatable)', collect)
    .option('--password-file <file>', 'file with the password of the keys; or set SEALPOST_PASSWORD')
    .option(
      '--config <file>',
      'take keys, trust and limits from the configuration, and ask the authorities that it allows',
    )
    .option('--offline', 'ask nobody about revocation and missing issuers, whatever the configuration says')
    .option(
      '--trust <file>',
      'root certificates that signers are trusted through, PEM or DER (repeatable)',
      collect,
    )
    .option('--at <time>', 'judge certificates at this time (ISO 8601) instead of now')
    .option('--out <file>', 'write the decoded content, only when it could be decoded; - for standard output')
    .option(
      '--pieces <folder>',
      'write the content of S/MIME parts below the message (mailing lists, forwarded mail) into this folder, each as a file of its own',
    )
    .option(
      '--content <file>',
      'the content of a detached signature that comes alone, exactly as it was signed',
    )
    .option('--json', 'print the verdict as JSON on standard output')
    .addHelpText(
      'after',
      '\nDone (exit code 0) means that it could be decoded; the verdict says what it is worth.',
    )
    .action(async (file: string, options: DecodeCommandOptions) => {
      if (options.json && options.out === '-')
        throw new SealpostError('usage', '--json and --out - both want standard output');
      if (options.content === '-' && file === '-')
        throw new SealpostError('usage', 'the message and --content - both want standard input');
      const { verdict, detail } = await decodeFile(file, options);
      if (options.json) printJson(verdict, 2);
      else
        for (const line of describeVerdict(verdict, detail))
          (options.out === '-' ? printError : printLine)(line);
      if (verdict.status === 'failed') process.exitCode = 1;
    });
}
