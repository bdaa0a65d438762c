/** How the jobs of a queue are worked on. */
/** What is known about the rate of a route. */
export interface Pace {
  /** How many may begin now; infinite if nothing holds them back. */
  room(): number;
  /** Milliseconds until another one may. */
  rests(): number;
}

export interface WorkerOptions {
  /**
   * Concurrent jobs. Each route (mailbox, partner, destination) may have one more, so that none waits for the others.
   */
  concurrency: number;
  /** Jobs of one route at a time, at most `concurrency`, which is the default. */
  most?: (route: string) => number;
  /** For routes that have a rate. Their handler says `inLine` if it is used up. */
  pace?: (route: string) => Pace | undefined;
  /** Called when there is reason to try a route at once. */
  hurried?: (route: string) => void;
  /** The work has no other side that could be down. Default: false. */
  local?: boolean;
  /** Milliseconds without renewal until a worker loses a job. Default: 10,000. */
  lockDuration?: number;
  /**
   * No job runs beside one that was in progress when a process died; otherwise just no other such job. Default: false.
   */
  suspectsAlone?: boolean;
}

export interface QueueWorker {
  /** Takes no more jobs and waits for current ones, at most `timeoutMs`. The rest is repeated elsewhere. Idempotent. */
  close(timeoutMs: number): Promise<void>;
}
