import { createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import { startJava } from '../../test/support/peers/bouncy-castle.ts';
import type { Identity } from '../../test/support/peers/identities.ts';
import type { Parties } from './parties.ts';
import type { Contestant, RecipientName } from './types.ts';

const kinds: Record<RecipientName, Record<string, string>> = {
  'rsa-2048': { kind: 'rsa-pkcs1' },
  'dh-x942': { kind: 'dh', wrap: '3DES' },
  'ec-p256': { kind: 'ecdh', wrap: 'AES-128', kdf: 'SHA-256' },
};

const pkcs8 = (identity: Identity) =>
  createPrivateKey(identity.keyPem).export({ type: 'pkcs8', format: 'der' });

/** Bouncy Castle in one warm JVM, on bare DER; undefined where java or its jars are missing. */
export async function bouncyCastle(parties: Parties): Promise<Contestant | undefined> {
  const java = await startJava(join(parties.material.folder, 'java'));
  if (java === undefined) return undefined;
  return {
    name: 'Bouncy Castle',
    async run(row, seconds) {
      const recipient = parties.of(row.recipient);
      const octets = parties.bareInput(row);
      const kind = kinds[row.recipient];
      if (row.task === 'decode') {
        const rate = await java.loop('decrypt', seconds, { ...kind, message: octets, key: pkcs8(recipient) });
        return { rate };
      }
      const { signer } = parties;
      const signing = { cert: signer.der, key: pkcs8(signer), algorithm: 'SHA256WITHRSA', attributes: '1' };
      const signed = await java.ask('sign', { ...signing, content: octets });
      const cipher = row.cipher.bouncyCastle;
      const first = await java.loop('sign', seconds / 2, { ...signing, content: octets });
      const second = await java.loop('encrypt', seconds / 2, {
        ...kind,
        cipher,
        cert: recipient.der,
        content: signed,
      });
      // one after the other
      return { rate: 1 / (1 / first + 1 / second) };
    },
    close: () => java.close(),
  };
}
