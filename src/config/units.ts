import { z } from 'zod';
import { durationUnits, scaled, sizeUnits } from './unit-text.ts';

function unit(kind: string, units: Record<string, number>, example: string, least: string | undefined) {
  const smallest = least === undefined ? undefined : scaled(least, units);
  return z.string().transform((text, context) => {
    const value = scaled(text.trim(), units);
    if (value !== undefined && smallest !== undefined && value < smallest) {
      context.addIssue({ code: 'custom', message: `must be at least ${least}` });
      return z.NEVER;
    }
    if (value !== undefined) return value;
    const names = Object.keys(units).join(', ');
    context.addIssue({
      code: 'custom',
      message: `is not a ${kind}: write a number and one of ${names}, such as ${example}`,
    });
    return z.NEVER;
  });
}

/** A time span such as `30s` or `7d`, not below `least`. The value is in milliseconds. */
export const duration = (least?: string) =>
  unit('time span', durationUnits, '30s', least).meta({ format: 'duration' });

/** A number of octets such as `256KiB` or `100MiB`, not below `least`. The value is in octets. */
export const size = (least?: string) => unit('size', sizeUnits, '100MiB', least).meta({ format: 'size' });
