/**
 * Decides which jobs this process works on. Each route (a partner, a destination, a mailbox) has one place of its own,
 * and shares the common places with the others while it works. A route that hangs, is slow or is down leaves the others
 * their places. So a message never waits for somebody else's server, however many of them hang.
 */
import { Breaker, type BreakerSettings, type Pass } from './breaker.ts';
import type { Pace, PeerState } from './types.ts';

export interface GateSettings {
  /** Common places, in addition to the one of each route. */
  total: number;
  /** Places of one route, including its own; at most `total`. */
  most: (route: string) => number;
  /** The work has no other side that could be down, so a route has all its places from the start. */
  local: boolean;
  breaker: BreakerSettings;
  /** For routes that have a rate. */
  pace?: ((route: string) => Pace | undefined) | undefined;
  /** For routes that a person has paused: nothing of them begins. */
  stopped?: ((route: string) => boolean) | undefined;
  /** Milliseconds of a monotonic clock. */
  now: () => number;
}

/**
 * A route whose oldest job has taken this many milliseconds counts as slow. Slow routes share at most half of the
 * common places.
 */
export const slowAfter = 1000;
/** Milliseconds for which a job waits in this process for a place before it is put back. */
const patience = 250;

interface Route {
  name: string;
  most: number;
  breaker: Breaker;
  /** Whether it worked when last tried. Otherwise it has one place, and is tried with one message at a time. */
  trusted: boolean;
  /** Starts by pass, the oldest first. */
  running: Map<Pass, number>;
  waiting: ((entry: Entry | null) => void)[];
  /** Jobs that were called back and have not arrived yet. */
  coming: number;
}

/** An occupied place: return it with `leave`. */
export interface Entry {
  readonly route: string;
  readonly pass: Pass;
}

export class Gate {
  readonly #settings: GateSettings;
  readonly #routes = new Map<string, Route>();
  /** Routes with more than their own place. */
  readonly #busy = new Set<Route>();
  /** Routes with jobs that wait in this process. */
  readonly #queued = new Set<Route>();
  #closed = false;

  constructor(settings: GateSettings) {
    this.#settings = settings;
  }

  /** A place, at once or soon; null if the job must be put back. */
  turn(name: string): Promise<Entry | null> {
    this.forgo(name);
    const route = this.#route(name);
    if (route.waiting.length === 0 && this.#room(route) > 0) return Promise.resolve(this.#admit(route));
    if (!this.#goesOn(route)) return Promise.resolve(null);
    return new Promise((resolve) => {
      const answer = (entry: Entry | null) => {
        clearTimeout(timer);
        resolve(entry);
      };
      const timer = setTimeout(() => {
        route.waiting = route.waiting.filter((each) => each !== answer);
        if (route.waiting.length === 0) this.#queued.delete(route);
        resolve(null);
      }, patience);
      route.waiting.push(answer);
      this.#queued.add(route);
    });
  }

  /** Returns a place; `peer` is what the attempt showed about the route, if anything. */
  leave({ route: name, pass }: Entry, peer: PeerState | undefined): void {
    const route = this.#route(name);
    route.running.delete(pass);
    if (route.running.size < 2) this.#busy.delete(route);
    if (peer === 'works') {
      route.breaker.succeeded();
      route.trusted = true;
    } else if (peer === 'down') {
      route.breaker.failed(pass);
      route.trusted = this.#settings.local;
      this.#dismiss(route);
    } else route.breaker.abandoned(pass);
    for (const queued of this.#queued) {
      while (queued.waiting.length > 0 && this.#room(queued) > 0)
        queued.waiting.shift()?.(this.#admit(queued));
      if (queued.waiting.length === 0) this.#queued.delete(queued);
    }
  }

  /** A route that is paused after failures may be tried at once. */
  hurry(name: string): void {
    this.#routes.get(name)?.breaker.hurry();
  }

  /** How many jobs of a route should be called back now. */
  vacant(name: string): number {
    if (this.#closed) return 0;
    const route = this.#route(name);
    return Math.max(0, this.#room(route) - route.waiting.length - route.coming);
  }

  /** True if a route has enough free places to be worth a call. */
  isHungry(name: string): boolean {
    const { running, most, trusted } = this.#route(name);
    const some = trusted && running.size > 0 && this.#paced(name) >= most;
    return this.vacant(name) >= (some ? Math.ceil(most / 4) : 1);
  }

  /** Milliseconds until the rate of a route lets another one go; 0 if it may go now, or if there is no rate. */
  rests(name: string): number {
    return this.#settings.pace?.(name)?.rests() ?? 0;
  }

  /** Whether a person has paused a route. */
  isStopped(name: string): boolean {
    return this.#settings.stopped?.(name) ?? false;
  }

  /** Jobs of a route were called back. */
  expect(name: string, jobs: number): void {
    this.#route(name).coming += jobs;
  }

  /** A job has come that needs no place. */
  forgo(name: string): void {
    const route = this.#route(name);
    route.coming = Math.max(0, route.coming - 1);
  }

  /** A job that was called back and did not arrive: another process took it. */
  expectNothing(): void {
    for (const route of this.#routes.values()) route.coming = 0;
  }

  /** Routes that have no room here now. */
  full(): string[] {
    return [...this.#routes.values()].filter((route) => this.#room(route) === 0).map(({ name }) => name);
  }

  /** From now on, nothing waits here. Jobs that are put back belong to other processes. */
  close(): void {
    this.#closed = true;
    for (const route of this.#queued) this.#dismiss(route);
  }

  #route(name: string): Route {
    const known = this.#routes.get(name);
    if (known) return known;
    const { total, most, local, breaker, now } = this.#settings;
    const route: Route = {
      name,
      most: Math.max(1, Math.min(most(name), total)),
      breaker: new Breaker(now, breaker),
      trusted: local,
      running: new Map(),
      waiting: [],
      coming: 0,
    };
    this.#routes.set(name, route);
    return route;
  }

  /** How many jobs the rate of a route lets go now. */
  #paced(name: string): number {
    return this.#settings.pace?.(name)?.room() ?? Number.POSITIVE_INFINITY;
  }

  #admit(route: Route): Entry {
    const pass = route.breaker.enter();
    // `#room` has checked the breaker in the same turn of the event loop
    const taken = typeof pass === 'number' ? { probe: false } : pass;
    route.running.set(taken, this.#settings.now());
    if (route.running.size > 1) this.#busy.add(route);
    return { route: route.name, pass: taken };
  }

  #dismiss(route: Route): void {
    this.#queued.delete(route);
    for (const answer of route.waiting.splice(0)) answer(null);
  }

  /** How many more jobs of a route may begin. */
  #room(route: Route): number {
    if (route.breaker.wait() > 0) return 0;
    if (this.isStopped(route.name)) return 0;
    const places = (route.trusted ? route.most : 1) - route.running.size;
    const left = Math.min(places, this.#paced(route.name));
    if (left <= 0) return 0;
    const common = this.#common(this.#isSlow(route));
    return Math.min(left, route.running.size === 0 ? common + 1 : common);
  }

  /** Free common places. Slow routes get half of them. Places taken before they became slow do not count. */
  #common(forSlow: boolean): number {
    let [slow, others] = [0, 0];
    for (const route of this.#busy) {
      if (this.#isSlow(route)) slow += route.running.size - 1;
      else others += route.running.size - 1;
    }
    const { total } = this.#settings;
    const half = Math.floor(total / 2);
    const free = total - others - Math.min(slow, half);
    return Math.max(0, forSlow ? Math.min(free, half - slow) : free);
  }

  #isSlow({ running }: Route): boolean {
    const [oldest] = running.values();
    return oldest !== undefined && this.#settings.now() - oldest > slowAfter;
  }

  /** A place is likely to become free in a moment. */
  #goesOn(route: Route): boolean {
    if (this.#closed || route.breaker.wait() > 0 || this.#isSlow(route) || this.rests(route.name) > 0)
      return false;
    if (this.isStopped(route.name)) return false;
    return route.waiting.length < Math.ceil((route.trusted ? route.most : 1) / 4);
  }
}
