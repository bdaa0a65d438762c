/**
 * A folder in place of a server. Each message becomes a file, exactly as it would have been sent, with a JSON file that
 * holds its envelope. Another program takes them from there, so the message counts as sent once both are on disk.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SealpostError } from '../errors.ts';
import { writeNewFile } from '../files.ts';
import { type Envelope, type Outcome, outcomeOf } from '../queue/index.ts';
import { draftPath, FolderSync, folderName, unwritable, Volume } from '../volume.ts';
import { sendResults } from './metrics.ts';
import { Prepared, Unsendable } from './prepared.ts';
import { checkEnvelope, createSender } from './send.ts';
import { heldByRate, type OutboundMessage, type Sender, type SenderParts } from './sender.ts';

/** Readable by the group, so that the program that collects the files can run as another user. The umask applies. */
const fileMode = 0o640;

/** The sender for a route: over SMTP, or into a folder. Errors: `file-access`. */
export function openSender(parts: SenderParts): Sender {
  const { folder } = parts.route;
  return folder === undefined ? createSender(parts) : createFolderSender({ folder, rate: parts.rate });
}

/**
 * Writes `TIME-ID.eml` and `TIME-ID.json`. The .eml comes last, so whoever sees it finds the other one too. Both names
 * depend only on the message, so a repeated attempt overwrites the same files. A folder that does not answer delays
 * only its own mail (`volume.ts`).
 *
 * The outcomes are those of a server: `send-failed` while the folder cannot be written to, and `send-refused` for
 * anything that no server would accept, since the program that collects the files most likely sends them by SMTP.
 */
function createFolderSender({ folder, rate }: Pick<SenderParts, 'rate'> & { folder: string }): Sender {
  const volume = new Volume(folder);
  const sync = new FolderSync(folder);

  async function write(message: OutboundMessage, envelope: Envelope, signal: AbortSignal): Promise<string> {
    const { id = '', about, envelope: given } = message;
    const prepared = await Prepared.from(message.octets);
    const name = folderName(about?.receivedAt ?? Date.now(), id);
    const drafts = { eml: draftPath(folder), json: draftPath(folder) };
    try {
      const how = { mode: fileMode, signal };
      const octets = prepared.octets(true);
      const written = await writeNewFile(drafts.eml, Buffer.isBuffer(octets) ? [octets] : octets, how);
      const document = {
        ...{ version: 1, id, file: `${name}.eml`, ...about },
        receivedAt: about && new Date(about.receivedAt).toISOString(),
        envelope: { ...given, ...envelope },
        ...written,
      };
      await writeNewFile(drafts.json, [Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`)], how);
      for (const kind of ['json', 'eml'] as const)
        await rename(drafts[kind], join(folder, `${name}.${kind}`));
      await sync.sync();
      return `${name}.eml`;
    } finally {
      await prepared.drop();
      for (const draft of Object.values(drafts)) await rm(draft, { force: true }).catch(() => undefined);
    }
  }

  return {
    async send(message, signal = new AbortController().signal) {
      try {
        const envelope = checkEnvelope(message.envelope);
        const held = await heldByRate(rate, message);
        if (held !== undefined) return held;
        await volume.isLocal();
        const file = await volume.run(signal, async () => {
          await volume.prepare(Date.now());
          return message.held?.() ?? (await write(message, envelope, signal));
        });
        if (typeof file !== 'string') return file;
        sendResults.inc({ status: 'sent' }, envelope.to.length);
        return { done: true, facts: { host: null, folder, file } };
      } catch (error) {
        return failure(error, signal);
      }
    },
    ...(rate && { pace: rate }),
    close() {},
  };

  function failure(error: unknown, signal: AbortSignal): Outcome {
    const facts = (reply: string) => ({ host: null, code: null, reply, possibleDuplicate: false });
    if (error instanceof Unsendable) return { suspend: 'send-refused', facts: facts(error.message) };
    if (error instanceof SealpostError) {
      const outcome = outcomeOf(error);
      if (outcome !== undefined) return outcome;
    }
    if (signal.aborted) return { retry: 'send-failed', facts: facts('sending was aborted') };
    if (!(error instanceof Error && 'code' in error)) throw error;
    return { retry: 'send-failed', facts: facts(unwritable(folder, error)), peer: 'down' };
  }
}
