import { contentCipherOf } from '../cms/algorithms.ts';
import { contentEncryptions } from '../smime/encode/presets.ts';

/**
 * The content cipher for a partner that has said what it can read: the one that it prefers among those that are at
 * least as good as the setting: as many bits, authenticated if that is, and never one that is weak. So a statement can
 * raise what the setting says, and cannot go below it.
 *
 * @param announced names or object identifiers, the preferred one first
 */
export function negotiatedCipher(setting: string, announced: readonly string[]): string {
  const floor = contentCipherOf(setting);
  if (floor === undefined) return setting;
  for (const name of announced) {
    const cipher = contentCipherOf(name);
    if (cipher === undefined || cipher.strength !== 'strong') continue;
    if (cipher.keyBits < floor.keyBits || (floor.aead && !cipher.aead)) continue;
    const wanted = contentEncryptions.find((each) => cipher.settable.includes(each));
    if (wanted !== undefined) return wanted;
  }
  return setting;
}
