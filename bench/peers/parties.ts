import { readFileSync } from 'node:fs';
import { type Identity, identityOf, makeIdentities } from '../../test/support/peers/identities.ts';
import { type Material, openssl } from '../material.ts';
import type { RecipientName, Row } from './types.ts';

/** The keys of the bench and the messages for them. The signer is the one with the RSA key. */
export class Parties {
  readonly material: Material;
  readonly #identities: Map<string, Identity>;

  private constructor(material: Material, identities: Map<string, Identity>) {
    this.material = material;
    this.#identities = identities;
  }

  static async make(material: Material): Promise<Parties> {
    const names: RecipientName[] = ['rsa-2048', 'dh-x942', 'ec-p256'];
    return new Parties(material, await makeIdentities(material.folder, names));
  }

  get signer(): Identity {
    return this.of('rsa-2048');
  }

  of(name: RecipientName): Identity {
    return identityOf(this.#identities, name);
  }

  /** What a row begins with: the encrypted mail, or the content to be signed and encrypted. */
  input({ task, size, cipher, recipient }: Row): string {
    if (task === 'encode') return this.material.content(size);
    return this.material.encrypted(size, cipher.flag, { name: recipient, cert: this.of(recipient).certFile });
  }

  /** The same for programs that know no MIME: the encrypted message in DER. */
  bareInput(row: Row): Buffer {
    const file = this.input(row);
    if (row.task === 'encode') return readFileSync(file);
    return openssl(['cms', '-cmsout', '-in', file, '-outform', 'DER']);
  }
}
