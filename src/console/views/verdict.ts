/** A verdict as nested layers, the outermost first, and what the policy made of it. */
import type { MessageVerdict } from '../../api/index.ts';
import { type Html, html } from '../html.ts';
import { badge, cell, count, facts, size, table, time } from './parts.ts';

type Verdict = MessageVerdict['verdict'];
type Layer = Verdict['layers'][number];

export function verdictView({ verdict, headersShown }: MessageVerdict): Html {
  return [
    html`<p>${verdict.encrypted ? 'Encrypted' : 'Not encrypted'}; signature ${badge(verdict.signature)};
      integrity ${verdict.integrity}.${verdict.error && html` ${badge('failed')} <code>${verdict.error.code}</code> ${cell(verdict.error.message, 300)}`}</p>`,
    nested(verdict.layers, 0, verdict),
    verdict.pieces.map(
      (piece) =>
        html`<h3>Part ${piece.path}, ${cell(piece.contentType)}</h3>${nested(piece.layers, 0, { ...verdict, content: piece.content })}`,
    ),
    headers(verdict, headersShown),
  ];
}

/** What the rules of mailbox and partner made of an inbound message when it was decoded last. */
export function policyView(events: readonly { type: string; facts: EventFacts }[]): Html {
  const latest = events.slice(events.findLastIndex(({ type }) => type === 'decode-again') + 1);
  const judged =
    latest.findLast(({ type }) => type !== 'suspended' && Object.hasOwn(fates, type)) ??
    latest.findLast(({ type }) => type === 'suspended');
  if (judged === undefined) return null;
  const { facts: found, type } = judged;
  const [word, sentence] = fates[type] ?? [type, ''];
  const { shortfalls, reason, message } = found;
  const lacks = Array.isArray(shortfalls) ? shortfalls : [];
  return html`<p><strong>What became of it:</strong> ${badge(word)} ${sentence}${
    lacks.length > 0 &&
    html` ${badge('warning')} It falls short of ${lacks.map((each, at) => [at > 0 && ', ', html`<code>${each}</code>`])}, which let it pass.`
  }${type !== 'decoded' && typeof reason === 'string' && html` <code>${reason}</code> ${cell(typeof message === 'string' ? message : null, 400)}`}</p>`;
}

type EventFacts = Readonly<Record<string, string | number | boolean | null | string[]>>;

/** Events that say what became of a message, with a word and a sentence. */
const fates: Readonly<Record<string, readonly [word: string, sentence: string]>> = {
  decoded: ['accepted', 'Its mailbox and its partner take it as it is.'],
  suspended: ['suspended', 'It waits for a person.'],
  refused: ['refused', 'It was refused, and its partner was told why.'],
  dropped: ['dropped', 'A rule drops such mail.'],
};

function nested(layers: readonly Layer[], at: number, verdict: Pick<Verdict, 'content'>): Html {
  const layer = layers[at];
  if (layer === undefined) return content(verdict);
  return html`<div class=${`layer ${toneOf(layer)}`}>${describe(layer)}${weak(layer)}${nested(layers, at + 1, verdict)}</div>`;
}

function content({ content: found }: Pick<Verdict, 'content'>): Html {
  if (found === null) return html`<div class="layer"><p>Nothing was decoded from here on.</p></div>`;
  return html`<div class="layer"><strong>Content</strong> ${cell(found.contentType ?? 'no content type')}, ${size(found.octets)}</div>`;
}

function toneOf(layer: Layer): string {
  if ('recipients' in layer) return 'encryption';
  if (!('signers' in layer)) return '';
  if (layer.signers.some(({ valid }) => !valid)) return 'invalid';
  return layer.signers.length > 0 && layer.signers.every(({ trusted }) => trusted) ? 'valid' : 'untrusted';
}

function describe(layer: Layer): Html {
  if ('recipients' in layer) {
    const { contentEncryption: cipher } = layer;
    return html`<strong>Encrypted</strong> (${layer.type}, ${cipher?.algorithm ?? 'unknown cipher'}${
      cipher?.keyBits ? `, ${cipher.keyBits} bits` : ''
    })<ul>${layer.recipients.map(
      ({ kind, keyEncryption, identifier, matched }) =>
        html`<li>for ${matched ? html`our key <strong>${cell(matched.identity)}</strong>` : cell(nameOf(identifier), 200)}
          (${kind}, ${keyEncryption?.algorithm ?? 'unknown'})</li>`,
    )}</ul>`;
  }
  if ('signers' in layer)
    return html`<strong>Signed</strong> (${layer.type}) by ${count(layer.signers.length, 'signer')}<ul>${layer.signers.map(signer)}</ul>`;
  if (layer.type === 'compressed-data') return html`<strong>Compressed</strong> (${layer.algorithm})`;
  if (layer.type === 'certs-only') return html`<strong>Certificates alone</strong>, ${layer.certificates}`;
  return html`<strong>Digested</strong> (${layer.digestAlgorithm}), ${layer.valid ? 'right' : 'wrong'}`;
}

function nameOf(identifier: object | null): string {
  return identifier === null ? 'somebody unnamed' : Object.values(identifier).join(', serial ');
}

type Signer = Extract<Layer, { signers: unknown }>['signers'][number];

function signer(each: Signer): Html {
  const worth = !each.valid ? 'invalid' : each.trusted ? 'valid' : 'untrusted';
  return html`<li>${badge(worth)} ${cell(each.subject ?? 'unknown signer', 200)}${
    each.reason !== null && html` <code>${each.reason}</code> ${cell(each.message, 300)}`
  }${facts([
    ['Addresses', cell(each.emails.join(', '), 200)],
    ['Algorithms', `${each.digestAlgorithm}, ${each.signatureAlgorithm}`],
    ['Key', each.key ? `${each.key.family} ${each.key.bits ?? ''}` : null],
    ['Issued by', cell(each.issuer, 200)],
    ['Valid until', each.notAfter === null ? null : time(each.notAfter)],
    ['Claimed signing time', each.signingTime === null ? null : time(each.signingTime)],
    [
      'Chain',
      each.chain.length === 0
        ? null
        : html`${each.chain.map(({ subject }, at) => [at > 0 && ' ← ', cell(subject, 100)])}`,
    ],
    [
      'Revocation',
      each.revocation.status === 'not-checked'
        ? null
        : `${each.revocation.status} (${each.revocation.source ?? 'no source'})`,
    ],
  ])}</li>`;
}

function weak({ weak: reasons }: Layer): Html {
  return reasons.length > 0 && html`<p>${badge('weak')} ${cell(reasons.join('; '), 400)}</p>`;
}

function headers({ headers: found }: Verdict, shown: boolean): Html {
  const { protection, fields, differences } = found;
  if (!shown)
    return html`<h3>Headers</h3><p>Protection: ${protection}. What they say is for those who may read content.</p>`;
  if (protection === 'none') return html`<h3>Headers</h3><p>No header fields are protected.</p>`;
  return [
    html`<h3>Headers under protection (${protection})</h3>`,
    table(
      'Header fields under protection',
      [
        { name: 'Field', show: ({ name }) => cell(name, 60) },
        { name: 'Value', show: ({ value }) => cell(value, 500) },
      ],
      fields,
    ),
    differences.length > 0 && [
      html`<h3>Where the outer header differs</h3>`,
      table(
        'Differences between the outer and the protected header',
        [
          { name: 'Field', show: ({ name }) => cell(name, 60) },
          {
            name: 'Outside',
            show: ({ outer }) => (outer === null ? '(absent)' : html`<del>${cell(outer, 300)}</del>`),
          },
          {
            name: 'Protected',
            show: ({ inner }) => (inner === null ? '(absent)' : html`<ins>${cell(inner, 300)}</ins>`),
          },
          { name: 'Meant so', show: ({ intended }) => (intended ? 'yes, to hide it' : badge('warning')) },
        ],
        differences,
      ),
    ],
  ];
}
