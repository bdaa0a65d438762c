/** Mutants of the store of certificates. */
import { mutants } from './mutant.ts';

export const certs = [
  ...mutants('redis', [
    [
      'redis/sealed-document.ts',
      'if (stored.version < this.#seen && !accepted)',
      'if (stored.version < this.#seen - 1 && !accepted)',
      'attacks/certificate-store~forged client/registry',
      'an older list is taken, with what was revoked since then',
    ],
    [
      'redis/sealed-document.ts',
      'if (sha256(text) !== digests[part]) return undefined;',
      '',
      'attacks/certificate-store~forged',
      'a part of the store is swapped for an older one',
    ],
  ]),
  ...mutants('certstore', [
    [
      'certstore/store.ts',
      'if (entry.version !== version)',
      'if (entry.version < version)',
      'attacks/certificate-store~swap',
      'what was not compared is approved',
    ],
    [
      'certstore/store.ts',
      'own.length >= mostWaiting.partner ||',
      '',
      'attacks/certificate-store~bounds',
      'anybody fills the list of what waits',
    ],
    [
      'certstore/store.ts',
      'this.#refusedFile.keep(read.flatMap(([, entries]) => entries));',
      '',
      'attacks/certificate-store~restore',
      'a restore revives what was revoked',
    ],
  ]),
];
