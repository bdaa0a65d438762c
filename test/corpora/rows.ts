import { type Row, skip } from './row.ts';
import { bouncyCastleMails, pkits, rfc9788 } from './rows-mails.ts';
import { as2, asn1crypto, openssl, rustcrypto } from './rows-objects.ts';
import { heimdal, made, rfc4134 } from './rows-small.ts';

const groups = [
  rfc4134,
  heimdal,
  made,
  bouncyCastleMails,
  pkits,
  rfc9788,
  openssl,
  asn1crypto,
  rustcrypto,
  as2,
];

/** The whole table; empty where the corpora are absent. */
export const rows: readonly Row[] = skip === false ? groups.flatMap((group) => group()) : [];
