/** Times and numbers in sentences. Text shows the time zone of the machine; JSON has UTC. */

const two = (number: number) => String(number).padStart(2, '0');

const dayOf = (at: Date) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const clockOf = (at: Date) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

/** Such as `2026-11-30 16:25:59`. @param at milliseconds since the epoch */
export function stamp(at: number): string {
  const date = new Date(at);
  return `${dayOf(date)} ${clockOf(date)}`;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Such as `25 s`, `12 min`, `3 h 5 min`, `4 days`. @param ms milliseconds, not negative */
export function span(ms: number): string {
  if (ms < 100 * second) return `${Math.round(ms / second)} s`;
  const minutes = Math.round(ms / minute);
  if (minutes < 100) return `${minutes} min`;
  if (ms < 2 * day) {
    const rest = minutes % 60;
    return `${Math.floor(minutes / 60)} h${rest === 0 ? '' : ` ${rest} min`}`;
  }
  return `${Math.round(ms / day)} days`;
}

/** Such as `in 25 s (16:25:59)` or `3 h ago (2026-11-29 23:12:00)`: the day if it is not today. */
export function relative(at: number, now: number): string {
  const date = new Date(at);
  const time = dayOf(date) === dayOf(new Date(now)) ? clockOf(date) : stamp(at);
  return at > now ? `in ${span(at - now)} (${time})` : `${span(now - at)} ago (${time})`;
}

/** Such as `1 message` and `2 messages`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
