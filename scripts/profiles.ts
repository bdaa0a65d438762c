/**
 * Writes docs/profiles.md from profiles/*.json: `npm run docs:profiles`. A test fails when the file is not what this
 * writes.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ownProfiles, type Profile, type Rule } from '../src/profile/index.ts';
import { foldMarkdown } from './fold.ts';

const intro = `# Profiles

This page is made from the files in \`profiles/\`, by \`npm run docs:profiles\`.

A profile is a named, versioned set of rules with dates and sources. It gives settings for outbound mail
(\`partners[].profile\`), a minimum for inbound mail (\`minimumProfile\` of a mailbox or partner), and a check of who would
fail on a day: \`sealpost profiles check NAME --at DATE\`. [Partners](partners.md#a-new-demand-from-a-regulator) shows how.

Who misses a rule of level **must** does not meet the profile. One of level **should** is reported, and refuses nothing.
**may** says what is allowed. A rule marked *unverified* could not be read in the source that it cites. It counts as a
should until \`profiles.dates\` gives it a day. A rule holds from the first day and until the day before the second, in
UTC.

Statements about a document go as far as its text was read. They are no legal advice, and its publisher is the one to ask.

## Your own

Name a folder as \`profiles.folder\`. Each file \`*.yaml\` in it is a profile. With \`extends\`, it begins with the rules and
settings of another one: a rule of the same \`id\` replaces it.

\`\`\`yaml
name: our-partners
version: "2027"
title: What we demand from 2027 on
about: EDI@Energy with longer keys.
extends: edi-energy
outbound:
  minimumRsaBits: 3072
rules:
  - id: key-size
    level: must
    from: "2027-07-01"
    about: key-size
    uses: [sign, encrypt]
    minimum: { rsa: 3072, ec: 256 }
    says: RSA keys have 3072 bits or more.
    source: { document: Letter to partners, version: "2026-11-02", section: "2" }
\`\`\`

| about | what it judges | its settings |
| --- | --- | --- |
| **content** | the cipher of each layer of encryption | \`allow\`: names such as \`aes-256-gcm\` |
| **key-management** | how content keys reach the recipient | \`allow\`: \`rsa-pkcs1\`, \`rsa-oaep-sha256\`, \`ecdh-sha256\`, \`xdh-sha512\`, \`dh-sha1\`, \`ml-kem-768\` |
| **digest** | digests of signatures with RSA, DSA and ECDSA | \`allow\` |
| **signature** | schemes of signatures | \`allow\`: \`rsa\`, \`rsa-pss\`, \`ecdsa\`, \`eddsa\`, \`ml-dsa\`, \`dsa\` |
| **protection** | what must be there | \`require\`: \`encrypted\`, \`signed\`, \`header\` |
| **order** | the layers of a message that is signed and encrypted, from the outside in | \`layers\` |
| **form** | how a signature is written | \`allow\`: \`opaque\`, \`detached\` |
| **key-size** | bits of keys, in messages and certificates | \`uses\`: \`sign\`, \`encrypt\`, \`ca\`; \`minimum\` by family (\`rsa\`, \`ec\`, \`okp\`, \`dsa\`, \`dh\`) |
| **key-family** | families of keys, likewise | \`uses\`, \`allow\` |
| **curve** | curves of EC keys in certificates | \`uses\`, \`allow\`: such as \`prime256v1\` |
| **validity** | how long a certificate is valid | \`uses\`, \`maximumDays\` |
| **certificate-signature** | schemes by which a certificate is signed | \`uses\`, \`allow\` |
| **extended-key-usage** | object identifiers of a certificate | \`uses\`, \`require\`, \`allow\` |

Each may also have \`directions\` (\`inbound\`, \`outbound\`), \`from\` and \`until\`, and one about certificates \`issuedFrom\`: it is
then for certificates that were issued on that day or later.

## Those of Sealpost`;

function demandOf(rule: Rule): string {
  switch (rule.about) {
    case 'protection':
      return rule.require.join(', ');
    case 'order':
      return rule.layers.join(' around ');
    case 'key-size':
      return Object.entries(rule.minimum)
        .map(([family, bits]) => `${family} ${bits}`)
        .join(', ');
    case 'validity':
      return `${rule.maximumDays} days`;
    case 'extended-key-usage':
      return `with ${rule.require.join(', ')}${rule.allow ? `; nothing but ${rule.allow.join(', ')}` : ''}`;
    default:
      return rule.allow.join(', ');
  }
}

function dates({ from, until, issuedFrom, unverified }: Rule): string {
  const said = [
    ...(from ? [`from ${from}`] : []),
    ...(until ? [`until ${until}`] : []),
    ...(issuedFrom ? [`certificates issued from ${issuedFrom}`] : []),
    ...(unverified ? ['*unverified*'] : []),
  ];
  return said.join(', ');
}

function row(rule: Rule): string {
  const { document, version, section } = rule.source;
  const whom = 'uses' in rule ? ` of ${rule.uses.join(', ')}` : '';
  const where = rule.directions === undefined ? '' : `, ${rule.directions.join(', ')}`;
  const cells = [
    `*${rule.id}*`,
    `${rule.level}${where}`,
    `${rule.says} **${rule.about}**${whom}: ${demandOf(rule)}`,
    dates(rule),
    `${document}, ${version}, ${section}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

function section({ name, aliases, version, title, about, outbound, rules }: Profile): string {
  const settings = Object.entries(outbound).map(([key, value]) => `\`${key}: ${value}\``);
  return [
    `### ${name}`,
    `${title}, version ${version}${aliases.length > 0 ? `; also named ${aliases.map((each) => `\`${each}\``).join(', ')}` : ''}. ${about}`,
    settings.length > 0 ? `Outbound: ${settings.join(', ')}.` : 'Outbound: the defaults.',
    [
      '| rule | level | what it says | when | source |',
      '| --- | --- | --- | --- | --- |',
      ...rules.map(row),
    ].join('\n'),
  ].join('\n\n');
}

export function profilesPage(): string {
  return foldMarkdown(`${[intro, ...ownProfiles.map(section)].join('\n\n')}\n`);
}

if (import.meta.main) writeFileSync(resolve(import.meta.dirname, '../docs/profiles.md'), profilesPage());
