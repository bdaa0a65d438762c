/** When a partner's new certificate is approved without a person. */
import { z } from 'zod';
import { duration } from './units.ts';

/** The rules that may approve a certificate; each is continuity of another kind. */
export const approvalRules = ['same-key', 'signed-by-old', 'private-anchor'] as const;

export const approvalSettings = ({ path }: { path: () => z.ZodString }) =>
  z
    .strictObject({
      rules: z
        .array(z.enum(approvalRules))
        .default([])
        .describe(
          'Rules that approve a new certificate of the partner. same-key: it has the key of one that is in force, and no other address or usage. signed-by-old: mail signed with one that is in force named it, under the signature. private-anchor: it leads to one of anchors. All of them need an address of the partner and of nobody else, and that the authorities say of the whole path that it is not revoked (trust.revocation.mode: hard).',
        ),
      delay: duration('1h')
        .prefault('3d')
        .describe(
          'How long a certificate waits before a rule approves it. In that time you can reject it: the log and an event of the message say that it waits.',
        ),
      anchors: z
        .array(path())
        .default([])
        .describe(
          "Root certificates of the partner's own authority, for the rule private-anchor. A public authority is none: it gives a certificate to whoever can read mail of the address.",
        ),
    })
    .prefault({})
    .describe(
      'Approval of new certificates that arrive in mail of the partner. Without rules, each waits for sealpost certs approve.',
    );
