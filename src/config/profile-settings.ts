/** Profiles: the part of the schema that says which there are. */
import { z } from 'zod';
import { day } from './profile-schema.ts';

export const profileSettings = ({ path }: { path: () => z.ZodString }) =>
  z
    .strictObject({
      folder: path()
        .optional()
        .describe(
          'Folder with profiles of your own, beside those of Sealpost: each file *.yaml in it is one (docs/profiles.md).',
        ),
      dates: z
        .record(z.string(), day())
        .default({})
        .describe(
          'From which day a rule holds that could not be read in its source, by PROFILE/RULE: "edi-energy/content-gcm: 2027-04-01". Without a day here, such a rule is reported and refuses nothing.',
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
      'The profile whose settings for outbound mail apply, in place of preset: one of sealpost profiles list, such as edi-energy, or one of your own. Individual settings override it.',
    );
