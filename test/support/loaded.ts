/** Which modules a process loads: most of what its start costs, and the same on every machine. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { World } from './world.ts';

export interface LoadedModules {
  /** For the environment of a process; its children inherit it. */
  env: { NODE_OPTIONS: string };
  /** URLs of what the processes with that file name loaded, each once. They must have ended by themselves. */
  of(main: string): string[];
}

/** Counts the modules of the processes that are started with the returned environment. */
export function countLoaded(world: World, name: string): LoadedModules {
  const folder = join(world.folder, `loaded-${name}`);
  mkdirSync(folder, { recursive: true });
  const hook = world.file(
    `loaded-${name}.mjs`,
    `import { writeFileSync } from 'node:fs';
    import { registerHooks } from 'node:module';
    import { basename } from 'node:path';
    const urls = [];
    registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
    process.on('exit', () => {
      const file = basename(process.argv[1] ?? '') + '-' + process.pid;
      writeFileSync(${JSON.stringify(folder)} + '/' + file, JSON.stringify(urls));
    });`,
  );
  return {
    env: { NODE_OPTIONS: `--import ${hook}` },
    of(main) {
      const files = existsSync(folder)
        ? readdirSync(folder).filter((file) => file.startsWith(`${main}-`))
        : [];
      const urls = files.flatMap((file): string[] => JSON.parse(readFileSync(join(folder, file), 'utf8')));
      if (urls.length === 0) throw new Error(`no process of ${main} has ended by itself`);
      return [...new Set(urls)];
    },
  };
}

/**
 * Libraries and rooms among modules. The rows of algorithms are data, which settings are checked against, and spans are
 * plain dates.
 */
export function partsOf(urls: readonly string[]): Set<string | undefined> {
  const code = urls.filter((url) => !/src\/(cms|pki)\/(algorithms|span)\.ts$|src\/asn1\/oids\.ts$/.test(url));
  const part = /node_modules\/((?:@[^/]+\/)?[^/]+)|src\/(\w+)\//;
  return new Set(code.map((url) => part.exec(url)?.slice(1).find(Boolean)));
}
