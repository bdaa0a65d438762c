/**
 * The rows of the table of errors for the rules of `policy`, of which an inbound message falls short, and for that of
 * `revocation`, for which an outbound one waits.
 */
export const policyRows = {
  'policy-encrypted': {
    class: 'message',
    cause: 'the policy requires encryption, and the message is not encrypted',
    remedy: 'Ask the partner to encrypt its mail, or change policy.require.',
    seen: ['message'],
  },
  'policy-signed': {
    class: 'message',
    cause: 'the policy requires a valid signature, and the message has none',
    remedy:
      'Ask the partner to sign its mail, and look for a gateway that modifies it, or change policy.require.',
    waits: 'certificate',
    seen: ['message'],
  },
  'policy-trusted': {
    class: 'message',
    cause: 'the policy requires a trusted signer, and the signer is not trusted',
    remedy:
      'Add the certificate to those of the partner, or its root to trust.anchors, or change policy.require.',
    waits: 'certificate',
    seen: ['message'],
  },
  'policy-bound': {
    class: 'message',
    cause: 'the policy requires that the signer is the partner in From, which is not proved',
    remedy: 'Add the certificate to those of the partner, or the address to its addresses.',
    waits: 'certificate',
    seen: ['message'],
  },
  'policy-header-protection': {
    class: 'message',
    cause: 'the policy requires header protection, and the header is not protected',
    remedy: 'Ask the partner for header protection (RFC 9788), or change policy.require.',
    seen: ['message'],
  },
  'policy-algorithm': {
    class: 'message',
    cause: 'an algorithm is not among those that the policy allows',
    remedy: 'Ask the partner for one of those in policy.signing and policy.encryption, or allow it there.',
    seen: ['message'],
  },
  'policy-key-size': {
    class: 'message',
    cause: 'a key is smaller than the policy allows',
    remedy: 'Ask the partner to sign with a larger key, or to encrypt for a larger one of yours.',
    seen: ['message'],
  },
  'policy-signing-time': {
    class: 'message',
    cause: 'the signing time is missing, too old or in the future',
    remedy:
      'Look at the clock of the partner, and at how long the mail was on its way; else change policy.signingTime.',
    seen: ['message'],
  },
  'policy-duplicate': {
    class: 'message',
    cause: 'the partner has sent the same message before',
    remedy: 'Terminate it, or resume it by decoding it again with other policy.duplicates.',
    seen: ['message'],
  },
  'policy-attachments': {
    class: 'message',
    cause: 'number, type or name of the attachments is not what the policy asks for',
    remedy: 'Ask the partner to send what policy.attachments says, or change it.',
    seen: ['message'],
  },
  'signer-revocation': {
    class: 'peer',
    cause:
      'it is not known whether the certificate of the signer was revoked, and revocation checks are hard',
    remedy:
      'See why in the message: make the host of the list or responder reachable, or write it in trust.revocation.hosts; add the certificate to the partner if you trust it anyway.',
    seen: ['message'],
  },
  'encode-revocation': {
    class: 'peer',
    cause:
      'it is not known whether the certificate of the partner was revoked, and mail to it waits for that',
    remedy:
      'See why in the message: write the host in trust.revocation.hosts, the issuer in trust.intermediates, or revocation: soft for the partner.',
    seen: ['message', 'command'],
  },
} as const;
