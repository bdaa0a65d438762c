/** Files of the corpora that are no S/MIME messages, by path, and what they are instead. */
export const inputs: readonly (readonly [RegExp, string])[] = [
  [/(?:^|\/)(?:SOURCES\.md|LICENSE(?:\.txt)?|readme\.md|examples_notes\.txt)$/, 'words about the corpora'],
  [
    /^(?:KEYS|VERDICTS|SURVEY)\.tsv$|^pkits-nist-2004\/[^/]+\.(?:tsv|schema|md|txt)$/,
    'words about the corpora',
  ],
  [/^rfc-vectors\.txt$/, 'printed key agreement answers: test/cms/key-agree.test.ts reads them'],
  [/^rfc4134\/rfc4134\.txt$/, 'the base64 dump that the .bin files came from'],
  [/\.(?:cer|crt|crl|key|pri|param|p12|pfx)$/, 'certificates, CRLs and keys'],
  [/^made\/ids\/|^openssl\/test\/smime-certs\/|^pkits-nist-2004\/certpairs\//, 'certificates, CRLs and keys'],
  [
    /^heimdal\/(?:.*\.pem|crl1\.der|key2?\.der|win-u16-in-printablestring\.der)$/,
    'certificates, CRLs and keys',
  ],
  [
    /^rustcrypto\/.*\/(?:cert|.*CACert|.*Test1EE|rsa_sk\.pkcs1|sceptest_key|sceptest_cert-selfsigned)\.pem$/,
    'certificates, CRLs and keys',
  ],
  [/^rustcrypto\/.*\/(?:.*-(?:priv|pub|key)|rsa_cert|sceptest_csr)\.der$/, 'certificates, CRLs and keys'],
  [/^(?:asn1crypto\/keys|bc-java-mail|rfc9788)\/[^/]*\.pem$/, 'certificates, CRLs and keys'],
  [/^openssl\/(?:demos\/.*|test\/testdsa(?:pub)?|.*-(?:cert|key))\.pem$/, 'certificates, CRLs and keys'],
  [
    /^as2-lib\/.*\.pem$|^pkits-nist-2004\/TA\.pem$|^cms-kyber\/example\/.*\.pem$/,
    'certificates, CRLs and keys',
  ],
  [/^heimdal\/ocsp-.*\.der$/, 'OCSP requests and answers: test/pki reads them'],
  [/^heimdal\/nist-(?:data2?|result2)$/, 'scripts of an older PKITS run'],
  [
    /^(?:heimdal\/static-file|made\/plain\.txt|rfc4134\/ExContent\.bin|asn1crypto\/message\.txt)$/,
    'a plaintext that rows of the table refer to',
  ],
  [
    /^openssl\/(?:test\/smcont.*|demos\/cms\/(?:comp|encr|sign)\.txt)$|^rustcrypto\/.*\/data\.txt$|^as2-lib\/.*\/(?:dummy\.txt|testcontent\.attachment)$/,
    'a plaintext without a message',
  ],
  [
    /^cms-kyber\/example\/(?!ML-KEM-512\.cms)/,
    'a step of the worked ML-KEM example: no private key is given',
  ],
  [
    /^cms-kyber\/example\/ML-KEM-512\.cms\.txt$/,
    'a listing by dumpasn1, no message; the object itself is not here',
  ],
  [/^as2-lib\/.*\.header$/, 'the HTTP header of the payload of the same name'],
  [
    /^rustcrypto\/.*\/(?:authroot\.stl\.sd|signer_info_.*\.bin)$/,
    'a structure without its ContentInfo, which no mail carries',
  ],
  [/^(?:bounces|receipts)\//, 'reports about mail: nothing in them is for the decoder of S/MIME'],
];
