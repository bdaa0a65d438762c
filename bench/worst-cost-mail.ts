import { bombs } from '../test/attacks/bombs.ts';
import {
  attributesOf,
  certificatesNamed,
  charsetParameters,
  dashes,
  dearIssuers,
  deepAttributes,
  deepMultipart,
  emptyMultiparts,
  encodedCharsets,
  encodedWords,
  largeDsa,
  longFileName,
  longGcmAttributes,
  longNames,
  longToList,
  manyAddresses,
  manyParameters,
  manyPasswords,
  nestedTripleDes,
  nestedZeros,
  partsWith,
  raggedContentType,
  single,
  tnefAttributes,
} from '../test/attacks/cost-bombs.ts';

export interface DearMail {
  name: string;
  step: 'decode' | 'hand-off' | 'encode';
  make: () => Buffer;
}

const uuBegin = 'begin 644 a\n';
const uuLine = `M${'0'.repeat(60)}\n`;
const htmlPart = `Content-Type: text/html\r\nX: ${'x'.repeat(950)}`;

/** Every mail of the tests that costs more than mail of its size does. */
export const dearMail: DearMail[] = [
  { name: 'RSA, exponents of 3,072 bits, 80 issuers', step: 'decode', make: () => dearIssuers(80) },
  {
    name: 'RSA, exponents of 256 bits, 1,000 issuers',
    step: 'decode',
    make: () => dearIssuers(990, 3072, 256),
  },
  { name: 'DSA of 10,000 bits, 100 signers', step: 'decode', make: () => largeDsa(10_000, 100) },
  {
    name: 'names of marks, 10 certificates, 100 signers',
    step: 'decode',
    make: () => longNames(10, 100, 1200),
  },
  {
    name: 'names of marks, 10 certificates, 10 signers',
    step: 'decode',
    make: () => longNames(10, 10, 12_000),
  },
  { name: 'CompressedData in itself, 3 times', step: 'decode', make: () => nestedZeros(3, 400 << 20) },
  { name: 'CompressedData in itself, twice', step: 'decode', make: () => nestedZeros(2, 150 << 20) },
  { name: '100 signers, 10,000 addresses', step: 'decode', make: () => manyAddresses(100, 10_000) },
  {
    name: '600 password recipients, 127 iterations',
    step: 'decode',
    make: () => manyPasswords(600, 127),
  },
  { name: 'GCM, attributes of 1.4 MB', step: 'decode', make: () => longGcmAttributes(1_400_000) },
  { name: 'three-key DES, 9 layers, 10 MB', step: 'decode', make: () => nestedTripleDes(9, 10 << 20) },
  { name: '95 multiparts around a line of dashes', step: 'decode', make: () => dashes(95, 1_000_000) },
  { name: 'the same, handed off', step: 'hand-off', make: () => dashes(95, 1_000_000) },
  { name: '7,000 parameters, 250 parts', step: 'decode', make: () => manyParameters(250, 7000) },
  { name: 'attribute of 480,000 elements', step: 'decode', make: () => attributesOf(480_000, 1) },
  { name: 'attributes of 4,000 elements, 100 signers', step: 'decode', make: () => attributesOf(4000, 100) },
  {
    name: 'certificate of 900 KB, named by 100 signers',
    step: 'decode',
    make: () => certificatesNamed(100, 900_000),
  },
  { name: 'file name of 90 KB', step: 'hand-off', make: () => longFileName(90_000) },
  { name: 'file names of 45 KB, 20 parts', step: 'hand-off', make: () => longFileName(45_000, 20) },
  {
    name: '999 parts of text',
    step: 'hand-off',
    make: () => partsWith(999 * 32, 'Content-Type: text/plain'),
  },
  { name: '999 parts of HTML, 1 MB', step: 'hand-off', make: () => partsWith(1e6, htmlPart) },
  { name: 'To lists, 95 KB', step: 'decode', make: () => longToList(95_000) },
  { name: 'To lists, 95 KB (hand-off)', step: 'hand-off', make: () => longToList(95_000) },
  { name: 'To lists, 95 KB (encode)', step: 'encode', make: () => longToList(95_000) },
  { name: 'attributes 50 deep, 1 MB', step: 'decode', make: () => deepAttributes(1e6, 50) },
  {
    name: 'attributes 50 deep, 100 signers, 1 MB',
    step: 'decode',
    make: () => deepAttributes(9_000, 50, 100),
  },
  { name: 'winmail.dat of empty attributes, 1 MB', step: 'decode', make: () => tnefAttributes(1e6) },
  { name: 'winmail.dat of empty attributes, 25 MB', step: 'decode', make: () => tnefAttributes(25e6) },
  { name: 'Content-Type of 95 KB', step: 'encode', make: () => raggedContentType(95_000) },
  ...(['decode', 'hand-off', 'encode'] as const).flatMap((step): DearMail[] => [
    {
      name: `plain text, 25 MB (${step})`,
      step,
      make: () => single(25e6, 'text/plain', '7bit', 'a line of text\r\n'),
    },
    {
      name: `98 multiparts, 25 MB (${step})`,
      step,
      make: () => deepMultipart(25e6, `--${'b'.repeat(99)}\r\n`),
    },
    { name: `empty multiparts, 25 MB (${step})`, step, make: () => emptyMultiparts(25e6) },
    { name: `encoded words, 25 MB (${step})`, step, make: () => partsWith(25e6, encodedWords) },
    { name: `charsets, 25 MB (${step})`, step, make: () => partsWith(25e6, charsetParameters) },
    {
      name: `charsets in encoded words, 25 MB (${step})`,
      step,
      make: () => partsWith(25e6, encodedCharsets),
    },
    {
      name: `uuencode, 25 MB (${step})`,
      step,
      make: () => single(25e6, 'text/plain', 'x-uuencode', uuLine, uuBegin),
    },
    {
      name: `CMS in uuencode, 25 MB (${step})`,
      step,
      make: () => single(25e6, 'application/pkcs7-mime', 'x-uuencode', uuLine, uuBegin),
    },
    {
      name: `uuencode, empty lines, 25 MB (${step})`,
      step,
      make: () => single(25e6, 'text/plain', 'x-uuencode', '\n', uuBegin),
    },
    { name: `empty lines, 25 MB (${step})`, step, make: () => single(25e6, 'text/plain', '7bit', '\n') },
    {
      name: `quoted-printable, 25 MB (${step})`,
      step,
      make: () => single(25e6, 'text/plain', 'quoted-printable', '= '),
    },
  ]),
  ...Object.entries(bombs).map(([name, octets]): DearMail => ({ name, step: 'decode', make: () => octets })),
];
