export { Certificate, parseCertificate, publicKeyOf } from './certificate.ts';
export { readCertificates } from './certificate-file.ts';
export type { BasicConstraints, Extension, KeyUsage } from './extensions.ts';
export { type GeneralName, normalizeEmail } from './general-name.ts';
export { createIdentity, type Identity, readIdentity } from './identity.ts';
export { isPkcs12, type Pkcs12, readPkcs12 } from './pkcs12.ts';
export { hasPrivateKey, keyBelongsTo, readPrivateKey } from './private-key.ts';
export { type KeyFacts, keyFacts, type PublicKeyInfo } from './public-key.ts';
