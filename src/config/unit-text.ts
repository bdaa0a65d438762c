/** Time spans and sizes as people write them, without the schema. */
export const durationUnits: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
export const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** The number that a text such as `30s` stands for, in the smallest unit; undefined for any other text. */
export function scaled(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text);
  const factor = units[match?.[2] ?? ''];
  return match?.[1] === undefined || factor === undefined ? undefined : Math.round(Number(match[1]) * factor);
}

/** Milliseconds that a text such as `90d` stands for; undefined if it is not a time span. */
export const readDuration = (text: string) => scaled(text.trim(), durationUnits);

/** Octets that a text such as `10MiB` stands for; undefined if it is not a size. */
export const readSize = (text: string) => scaled(text.trim(), sizeUnits);
