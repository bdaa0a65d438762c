/**
 * The first module that `sealpost/smime` evaluates: on an older Node.js the import ends here, with a sentence, and not
 * somewhere in the codec. It imports nothing, and it runs on any Node.js that knows modules.
 *
 * OpenSSL below 3.2 has no implicit rejection, so Node.js refuses to decrypt what most mail is encrypted with (RSA with
 * PKCS#1 v1.5). Node.js 22 has a newer one from 22.20 on, Node.js 23 never had it.
 */

const { node, openssl } = process.versions;

/** Major and minor as one number, such as 22.20 as 22020. */
function ordinal(version: string): number {
  const [major = '', minor = ''] = version.split('.');
  return Number.parseInt(major, 10) * 1000 + Number.parseInt(minor, 10);
}

// a plain Error with a code, since nothing else has been loaded
if (ordinal(node) < 22_000 || ordinal(openssl) < 3002) {
  const found = `this is Node.js ${node} with OpenSSL ${openssl}`;
  const message = `sealpost/smime needs Node.js 22.20, 24 or later, with OpenSSL 3.2 or later; ${found}`;
  throw Object.assign(new Error(message), { code: 'node-too-old' });
}
