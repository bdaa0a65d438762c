/** The form of a profile (ours, which a test checks, and an operator's own), and the settings that name one. */
import { z } from 'zod';
import { certificateUses, directions, levels, protections } from '../profile/profiles.ts';
import { protectionSettings } from './protection-settings.ts';

const name = () =>
  z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'use small letters, digits, dot and hyphen, at most 63');
const text = () => z.string().min(1).max(1000);

/** A day in UTC, such as 2027-07-01. */
export const day = () =>
  z.string().refine((value) => {
    const time = /^\d{4}-\d{2}-\d{2}$/.test(value) ? Date.parse(`${value}T00:00:00Z`) : Number.NaN;
    return !Number.isNaN(time) && new Date(time).toISOString().startsWith(value);
  }, 'write a day such as 2027-07-01');

const facts = {
  id: name(),
  level: z.enum(levels),
  directions: z.array(z.enum(directions)).min(1).optional(),
  from: day().optional(),
  until: day().optional(),
  issuedFrom: day().optional(),
  says: text(),
  source: z.strictObject({ document: text(), version: text(), section: text() }),
  unverified: z.boolean().optional(),
};
const names = () => z.array(text()).min(1);
const uses = z.array(z.enum(certificateUses)).min(1);

function rule<const About extends string, Shape extends z.core.$ZodLooseShape>(about: About, shape: Shape) {
  return z.strictObject({ ...facts, about: z.literal(about), ...shape });
}

const ruleSchema = z.discriminatedUnion('about', [
  rule('content', { allow: names() }),
  rule('key-management', { allow: names() }),
  rule('digest', { allow: names() }),
  rule('signature', { allow: names() }),
  rule('protection', { require: z.array(z.enum(protections)).min(1) }),
  rule('order', { layers: z.array(z.enum(['encryption', 'signature'])).min(2) }),
  rule('form', { allow: z.array(z.enum(['opaque', 'detached'])).min(1) }),
  rule('key-size', { uses, minimum: z.record(z.string(), z.number().int().min(1)) }),
  rule('key-family', { uses, allow: names() }),
  rule('curve', { uses, allow: names() }),
  rule('validity', { uses, maximumDays: z.number().int().min(1) }),
  rule('certificate-signature', { uses, allow: names() }),
  rule('extended-key-usage', { uses, require: names(), allow: names().optional() }),
]);

/** Every setting of how mail is protected that a preset covers, so a new one needs no line here. */
const outbound = z.strictObject(protectionSettings(z.string)).omit({
  preset: true,
  encrypt: true,
  negotiate: true,
  allowWeak: true,
  identity: true,
  coSigners: true,
  encryptionIdentity: true,
});

/** The settings of a profile that a partner may set too. The others belong to the preset. */
export const outboundSettings = outbound.strip();

const isUnique = (values: readonly string[]) => new Set(values).size === values.length;
const common = {
  name: name(),
  aliases: z.array(name()).default([]),
  version: text(),
  title: text(),
  about: text(),
  rules: z
    .array(ruleSchema)
    .default([])
    .refine((rules) => isUnique(rules.map(({ id }) => id)), 'two rules have the same id'),
};

/** A profile of the package. It may say more than a partner's settings can. */
export const ourProfileSchema = z.strictObject({
  ...common,
  outbound: outbound.extend({
    curves: names().optional(),
    authEnvelopedType: z.enum(['authEnveloped-data', 'authenticated-enveloped-data']).optional(),
  }),
});

/**
 * A profile of the operator. With `extends`, its rules replace those with the same id, and its settings those with the
 * same name.
 */
export const ownProfileSchema = z.strictObject({
  ...common,
  extends: name().optional(),
  outbound: outbound.default({}),
});

export const profileSettings = ({ path }: { path: () => z.ZodString }) =>
  z
    .strictObject({
      folder: path()
        .optional()
        .describe(
          'Folder with your own profiles, in addition to those of Sealpost: each file *.yaml in it is one (docs/profiles.md).',
        ),
      dates: z
        .record(z.string(), day())
        .default({})
        .describe(
          'The day from which a rule applies that could not be read in its source, by PROFILE/RULE: "edi-energy/content-gcm: 2027-04-01". Without a day here, such a rule is reported, but refuses nothing.',
        ),
    })
    .prefault({})
    .describe('Named sets of requirements, with dates and sources: sealpost profiles list.');

export const minimumProfile = () =>
  z
    .string()
    .optional()
    .describe(
      'A profile that messages must meet: each of its rules of level must, as it holds on the day of receipt, for algorithms and key sizes. Otherwise the message is suspended (policy-profile). sealpost profiles check NAME shows beforehand who would fail.',
    );

export const partnerProfile = () =>
  z
    .string()
    .optional()
    .describe(
      'The profile whose settings for outbound mail apply, instead of preset: one of sealpost profiles list, such as edi-energy, or one of your own. Individual settings override it.',
    );
