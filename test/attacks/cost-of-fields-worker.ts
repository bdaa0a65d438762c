import { partFileName, safeName } from '../../src/handoff/names.ts';
import { readParts } from '../../src/handoff/parts.ts';
import { defaultMessageLimits } from '../../src/message/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { longFileName, marks, namesBeyondAscii, openBodyTags, raggedContentType } from './cost-bombs.ts';
import { alice } from './support.ts';

/** Does what hand-off and outbound do with long fields; prints the names. Run with little processor time. */
const names = [
  `a${' '.repeat(95_000)}b`,
  `a${'. '.repeat(47_000)}b`,
  marks(95_000),
  `${'/ '.repeat(47_000)}b`,
  `a.${marks(40_000)}.xml`,
].map((name) => safeName(name));
const parts = await readParts('message', [longFileName(90_000)], {
  inline: true,
  limits: defaultMessageLimits,
});
for (const { number, contentType, fileName } of parts)
  names.push(partFileName(number, contentType, fileName));
const sign = {
  identity: alice.identity,
  sign: 'detached',
  signatureScheme: 'pkcs1',
  at: new Date(0),
} as const;
const mail = encodeSync(raggedContentType(95_000), { ...sign, headerProtection: true });
const encrypt = {
  recipients: [alice.certificate],
  contentEncryption: 'aes-256-cbc',
  keyTransport: 'pkcs1',
} as const;
const html = encodeSync(openBodyTags(250_000), { ...encrypt, headerProtection: true, legacyDisplay: true });
const list = encodeSync(namesBeyondAscii(30_000), sign);
process.stdout.write(JSON.stringify({ names, mail: mail.length, html: html.length, list: list.length }));
