/**
 * Octets that pass through a process die young, but V8 sees only the few objects that refer to them. It waits, and then
 * marks the whole heap for a few buffers. With large messages that took a third of the receiver's time. A scavenge
 * takes less than a millisecond and frees them at once.
 */

/** Octets that pass between two scavenges. */
const between = 8 * 1024 * 1024;

let passed = 0;

/** Reports that so many octets of large messages have passed. Has an effect only if V8 runs with `--expose-gc`. */
export function reclaim(octets: number): void {
  passed += octets;
  if (passed < between) return;
  passed = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
