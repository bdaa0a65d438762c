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
    [
      'certstore/rules.ts',
      "if (named.length > 1) return 'it names addresses of several partners';",
      '',
      'attacks/certificate-harvest~two-partners',
      'a rule approves a certificate of two partners',
    ],
    [
      'certstore/rules.ts',
      "if (newAddresses.length > 0) return 'it has a new address';",
      '',
      'attacks/certificate-harvest~same-key-new',
      'an old key speaks for a new address',
    ],
    [
      'certstore/rules.ts',
      "return path.good ? undefined : path.why;\n  },\n  'signed-by-old'",
      "return undefined;\n  },\n  'signed-by-old'",
      'attacks/certificate-harvest~no-answer',
      'a rule approves what may be revoked',
    ],
    [
      'certstore/announced.ts',
      'if (isNamed(each)) return',
      'if (each) return',
      'attacks/certificate-harvest~bag-of-strangers',
      'whoever adds a certificate to a mail has announced it',
    ],
    [
      'certstore/harvest.ts',
      'entry.rule.due > now()',
      'entry.rule.due < 0',
      'attacks/certificate-harvest~delay',
      'nobody has the time to prevent an approval',
    ],
    [
      'certstore/counting.ts',
      '[...configured, ...approved].filter(counts)',
      '[...configured, ...approved]',
      'attacks/certificate-harvest~encrypt-to-waiting',
      'mail is encrypted for a stolen key',
    ],
    [
      'certstore/announcement.ts',
      'if (at <= old.at) return false;',
      '',
      'attacks/certificate-harvest~announcement-replay',
      'a replayed mail lowers the cipher',
    ],
    [
      'certstore/announcement.ts',
      'at > now + ahead ||',
      '',
      'attacks/certificate-harvest~announcement-future',
      'one statement keeps all later ones out',
    ],
    [
      'partner/negotiated.ts',
      "cipher === undefined || cipher.strength !== 'strong'",
      'cipher === undefined',
      'attacks/certificate-harvest~announcement-floor',
      'a partner is sent mail that anybody can read',
    ],
    [
      'partner/negotiated.ts',
      'cipher.keyBits < floor.keyBits ||',
      '',
      'attacks/certificate-harvest~announcement-raises',
      'a statement goes below the setting',
    ],
  ]),
];
