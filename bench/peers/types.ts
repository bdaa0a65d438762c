import type { SizeName } from '../material.ts';

export type Task = 'decode' | 'encode';
export type RecipientName = 'rsa-2048' | 'dh-x942' | 'ec-p256';

/** A cipher in the words of each program. */
export interface Cipher {
  name: string;
  sealpost: string;
  /** For libcrypto. */
  openssl: string;
  bouncyCastle: string;
  /** What `openssl cms` is given. */
  flag: string;
}

/** One row of the tables: decoding, or signing with RSA-2048 and then encrypting. */
export interface Row {
  task: Task;
  size: SizeName;
  cipher: Cipher;
  recipient: RecipientName;
  /** Transfer encoding of the signed layer under the encryption: base64 unless given. */
  inner?: 'binary';
}

/** Messages a second, by the clock and (where it can be known) by processor time. */
export interface Rate {
  rate: number;
  cpuRate?: number;
}

export interface Contestant {
  name: string;
  /** Undefined where it cannot do the row, or not within the time cap. */
  run(row: Row, seconds: number): Promise<Rate | undefined>;
  close?(): Promise<void>;
}

/** What one run may take above the seconds that it was asked for. */
export const capSeconds = 20;

export const ciphers = {
  aes: {
    name: 'AES-256-CBC',
    sealpost: 'aes-256-cbc',
    openssl: 'aes-256-cbc',
    bouncyCastle: 'AES-256-CBC',
    flag: '-aes-256-cbc',
  },
  gcm: {
    name: 'AES-256-GCM',
    sealpost: 'aes-256-gcm',
    openssl: 'aes-256-gcm',
    bouncyCastle: 'AES-256-GCM',
    flag: '-aes-256-gcm',
  },
  des3: {
    name: '3DES',
    sealpost: 'des-ede3-cbc',
    openssl: 'des-ede3-cbc',
    bouncyCastle: '3DES',
    flag: '-des3',
  },
  rc2: {
    name: 'RC2-128',
    sealpost: 'rc2-128-cbc',
    openssl: 'rc2-cbc',
    bouncyCastle: 'RC2-128',
    flag: '-rc2-128',
  },
  des: { name: 'DES', sealpost: 'des-cbc', openssl: 'des-cbc', bouncyCastle: 'DES', flag: '-des-cbc' },
} satisfies Record<string, Cipher>;
