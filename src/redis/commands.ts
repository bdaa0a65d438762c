/** Commands of ioredis: several that go out together, and what they leave behind in memory. */
import { Command, type Redis } from 'ioredis';

export type Reply = [error: Error | null, result?: unknown];

/**
 * Sends commands in one piece, and resolves to the reply of each. If the connection is lost in between, the rest is
 * never sent again without those before it. It does what a pipeline of ioredis does, without what that costs: each
 * pipeline lives until the next full collection, because its accessor and its functions are in the old generation.
 */
export async function sendTogether(redis: Redis, commands: readonly Command[]): Promise<Reply[]> {
  return await Promise.all(inOnePiece(redis, commands));
}

function inOnePiece(redis: Redis, commands: readonly Command[]): Promise<Reply>[] {
  // There is none before the first connection.
  const stream: Redis['stream'] | undefined = redis.stream;
  stream?.cork();
  try {
    return commands.map((command, index) => {
      command.pipelineIndex = index;
      return Promise.resolve(redis.sendCommand(command)).then(answered, refused);
    });
  } finally {
    stream?.uncork();
  }
}

function answered(result: unknown): Reply {
  return [null, result];
}

function refused(error: Error): Reply {
  return [error];
}

/** @param binary replies are Buffers */
export function commandOf(name: string, args: (string | number | Buffer)[] = [], binary = false): Command {
  return new Command(name, args, { replyEncoding: binary ? null : 'utf8' });
}

/** What a command has that its types call private. */
interface Settling {
  readonly name: string;
  readonly callback: unknown;
  readonly errorStack: unknown;
  isResolved: boolean;
  isSettled: boolean;
  transformed: boolean;
  args: unknown;
  promise: Promise<unknown>;
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
  stringifyArguments(): void;
  _convertValue(resolve: (result: unknown) => void): (result: unknown) => void;
  _clearTimers(): void;
}

/**
 * Lets commands die young. ioredis 6.0 writes `this.reject = (error) => ...` in `Command.initPromise`, and V8 creates a
 * function that is assigned to a property in the old generation at once. It refers to its command. So each command,
 * its arguments, its reply and all that waited for it outlived every young collection, and old collections were three
 * times as frequent (docs/performance.md). This is the same method with the function in a variable first. The test
 * compares ioredis's source, so that a new version is noticed.
 */
export function letCommandsDieYoung(): void {
  const { prototype } = Command;
  const ours = Symbol.for('sealpost.young');
  if (Reflect.has(prototype, ours)) return;
  const original: unknown = Reflect.get(prototype, 'initPromise');
  const transformers: unknown = Reflect.get(Command, '_transformer');
  if (typeof original !== 'function') return;
  const initPromise = function (this: Settling): void {
    if (typeof this.callback === 'function' || this.errorStack !== undefined) {
      Reflect.apply(original, this, []);
      return;
    }
    this.isResolved = false;
    this.isSettled = false;
    this.promise = new Promise((resolve, reject) => {
      if (!this.transformed) {
        this.transformed = true;
        const transformer = transformerOf(transformers, this.name);
        if (transformer) this.args = transformer(this.args);
        this.stringifyArguments();
      }
      this.resolve = this._convertValue(resolve);
      const failed = (error: Error) => {
        this._clearTimers();
        this.isSettled = true;
        reject(error);
      };
      this.reject = failed;
    });
  };
  Object.defineProperties(prototype, {
    initPromise: { value: initPromise, writable: true, configurable: true },
    [ours]: { value: true },
  });
}

/** Of arguments, which `Command.setArgumentTransformer` sets (objects of MSET and HSET). */
function transformerOf(transformers: unknown, name: string): ((args: unknown) => unknown) | undefined {
  const ofArguments: unknown =
    typeof transformers === 'object' && transformers !== null && Reflect.get(transformers, 'argument');
  const found: unknown =
    typeof ofArguments === 'object' && ofArguments !== null && Reflect.get(ofArguments, name);
  return typeof found === 'function' ? (args) => Reflect.apply(found, undefined, [args]) : undefined;
}
