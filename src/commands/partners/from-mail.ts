/** The certificates in a signed mail of a partner. */
import { announcedBeside } from '../../certstore/index.ts';
import { SealpostError } from '../../errors.ts';
import type { Certificate, Identity } from '../../pki/index.ts';
import { decode } from '../../smime/index.ts';
import { readPieces } from '../files.ts';

/**
 * The certificate that signed a mail, and those that its signer names: the one that it wants mail encrypted for. The
 * signature is valid, but says only that whoever wrote the mail has the key: whose it is, a person must know.
 *
 * @param identities keys of ours, for a mail that is encrypted too
 * @throws {SealpostError} `signature-invalid` for a mail without a valid signature, and the codes of decoding
 */
export async function certificatesOfMail(
  file: string,
  identities: readonly Identity[],
): Promise<{ certificates: Certificate[]; notes: string[] }> {
  const octets = Buffer.concat(await Array.fromAsync(readPieces(file)));
  const trust = { anchors: [] };
  const { verdict, signers } = await decode(octets, { identities, trust, at: new Date() });
  if (verdict.error !== null)
    throw new SealpostError(verdict.error.code, `${file}: ${verdict.error.message}`);
  if (signers.length === 0)
    throw new SealpostError('signature-invalid', `${file}: has no valid signature`, {
      hint: 'take a mail as it was received, with all of its octets; or give the certificate with --cert',
    });
  const found: Certificate[] = [];
  for (const signer of signers)
    for (const each of [signer.certificate, ...announcedBeside(signer).map(({ certificate }) => certificate)])
      if (!found.some((other) => other.equals(each))) found.push(each);
  const notes = [
    'anyone can sign a mail with a key of his own: compare the thumbprint with the partner, by phone or on paper',
  ];
  if (signers.length > 1)
    notes.push(`${signers.length} signers; the certificates of all of them are written`);
  return { certificates: found, notes };
}
