import type { Signer, Verdict } from '../smime/index.ts';

type Layer = Verdict['layers'][number];

function layerLines(layer: Layer): string[] {
  const lines: string[] = [];
  if ('recipients' in layer) {
    lines.push(`${layer.type}: ${layer.contentEncryption?.algorithm ?? 'unknown content encryption'}`);
    for (const { kind, keyEncryption, identifier, matched } of layer.recipients) {
      const who = identifier === null ? 'unnamed' : Object.values(identifier).join(', serial ');
      const key = matched === null ? 'no key here' : `key: ${matched.identity}`;
      lines.push(`  for ${who} (${kind}, ${keyEncryption?.algorithm ?? 'unknown'}): ${key}`);
    }
  } else if ('signers' in layer) {
    lines.push(
      `${layer.type}: ${layer.signers.length === 1 ? '1 signer' : `${layer.signers.length} signers`}`,
    );
    for (const signer of layer.signers) {
      const worth = !signer.valid ? 'INVALID' : signer.trusted ? 'valid, trusted' : 'valid, NOT TRUSTED';
      const why =
        signer.reason === null ? '' : ` (${signer.reason}${signer.message ? `: ${signer.message}` : ''})`;
      lines.push(`  ${signer.subject ?? 'unknown signer'}: ${worth}${why}`, ...revocationLines(signer));
    }
  } else lines.push(layer.type);
  if (layer.weak.length > 0) lines.push(`  weak: ${layer.weak.join('; ')}`);
  return lines;
}

/** What authorities said about a signer, if they were asked. */
function revocationLines({ revocation }: Signer): string[] {
  const { status, source, ageSeconds, message } = revocation;
  if (status === 'not-checked') return [];
  const said = source === null ? '' : ` (${source}, ${ageSeconds ?? 0} seconds old)`;
  return [`    revocation: ${status}${said}${message === null ? '' : `; ${message}`}`];
}

/**
 * The verdict for people, in a few lines. They contain unescaped text from strangers.
 * @param detail why a decryption failed, for the operator only
 */
export function describeVerdict(verdict: Verdict, detail: string | null): string[] {
  const lines =
    verdict.status === 'ok'
      ? [
          `decoded; encrypted: ${verdict.encrypted ? 'yes' : 'no'}, signature: ${verdict.signature}, integrity: ${verdict.integrity}`,
        ]
      : [
          `could not be decoded: ${verdict.error?.message ?? 'unknown'} [${verdict.error?.code ?? 'internal'}]`,
        ];
  if (detail !== null) lines.push(`detail: ${detail}`);
  verdict.layers.forEach((layer, index) => {
    const [first = '', ...rest] = layerLines(layer);
    lines.push(`${index + 1}. ${first}`, ...rest.map((line) => `   ${line}`));
  });
  if (verdict.content)
    lines.push(
      `content: ${verdict.content.octets} octets, ${verdict.content.contentType ?? 'no content type'}`,
    );
  for (const { path, status, error, encrypted, signature, contentType } of verdict.pieces)
    lines.push(
      status === 'ok'
        ? `piece ${path} (${contentType}): encrypted: ${encrypted ? 'yes' : 'no'}, signature: ${signature}`
        : `piece ${path} (${contentType}) could not be decoded: ${error?.message ?? 'unknown'} [${error?.code ?? 'internal'}]`,
    );
  return lines;
}
