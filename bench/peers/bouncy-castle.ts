import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
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

/** Bouncy Castle in one warm JVM, on whole mails as the others; undefined where java or its jars are missing. */
export async function bouncyCastle(parties: Parties): Promise<Contestant | undefined> {
  const java = await startJava(['-XX:+UseSerialGC']);
  if (java === undefined) return undefined;
  return {
    name: 'Bouncy Castle',
    async run(row, seconds) {
      const recipient = parties.of(row.recipient);
      const kind = kinds[row.recipient];
      const octets = readFileSync(parties.input(row));
      if (row.task === 'decode')
        return await java.loop('decrypt', seconds, { ...kind, mail: octets, key: pkcs8(recipient) });
      const { signer } = parties;
      return await java.loop('protect', seconds, {
        ...kind,
        content: octets,
        signerCert: signer.der,
        signerKey: pkcs8(signer),
        algorithm: 'SHA256WITHRSA',
        inner: row.inner ?? 'base64',
        cipher: row.cipher.bouncyCastle,
        cert: recipient.der,
      });
    },
    close: () => java.close(),
  };
}
