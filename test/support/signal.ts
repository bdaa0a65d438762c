/**
 * Sends a signal to one process, if it is there. 0 and negative numbers are no process: they mean a whole group, with the
 * test runner in it, and 0 is what an empty pid file gives.
 */
export function signalOne(pid: number, signal: NodeJS.Signals): void {
  if (!(pid > 1)) throw new Error(`${pid} is not the id of one process`);
  try {
    process.kill(pid, signal);
  } catch {}
}
