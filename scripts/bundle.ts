/**
 * Makes of the compiled program fewer files, which load quickly: most of what a command or a role costs to start is to
 * find and load hundreds of small modules. `npm run build` runs it after the compiler. Commands and roles then come from
 * `bundle` in that folder; the library stays as it was compiled.
 *
 * The files are CommonJS: to load fifty ES modules takes Node a quarter of what `sealpost send` takes in all, and an
 * `import` of a module of Node reads each of its exports, and so loads what Node would load later (undici, WebCrypto).
 * Only ES modules can be divided into parts that are loaded when they are needed, so they are made first.
 *
 *   node scripts/bundle.ts [folder of the compiled program]
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { lazyBuiltins } from './bundle/lazy-builtins.ts';

const root = resolve(import.meta.dirname, '..');
const dist = resolve(root, process.argv[2] ?? 'dist');
const folder = join(dist, 'bundle');
const parts = join(dist, 'parts');

/**
 * Libraries that become part of the bundle, with all that they need. The others stay where they are installed: they
 * read files beside them, or are needed seldom.
 */
const inlined = new Set([
  ...['bullmq', 'commander', 'ioredis', 'lru-cache', 'mime', 'nodemailer', 'pino', 'prom-client'],
  ...['smtp-server', 'yaml', 'zod'],
]);

const packageOf = (specifier: string) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? '';

const libraries: Plugin = {
  name: 'libraries',
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer }) =>
      path.startsWith('node:') || importer.includes('/node_modules/') || inlined.has(packageOf(path))
        ? undefined
        : { path, external: true },
    );
  },
};

/** Files know where they are, for what is beside them; in the bundle too. */
const places: Plugin = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      if (!path.startsWith(dist) || path.includes('/node_modules/')) return undefined;
      const text = readFileSync(path, 'utf8');
      if (!text.includes('import.meta.')) return undefined;
      const name = relative(dist, path);
      const below = (where: string) => `(__dirname + ${JSON.stringify(`/../${where}`)})`;
      const named = name.replace(/\.js$/, '.cjs');
      const contents = text
        // a library that is loaded when it is needed
        .replaceAll(/createRequire\(import\.meta\.url\)\(('[\w@/-]+')\)/g, 'require($1)')
        .replaceAll('import.meta.url', `require('node:url').pathToFileURL(${below(named)}).href`)
        .replaceAll('import.meta.dirname', below(dirname(name)))
        .replaceAll('import.meta.filename', below(named));
      return { contents, loader: 'js' };
    });
  },
};

/** What libraries do when they are loaded, done faster. A text that is not there any more ends the build. */
const quicker: Plugin = {
  name: 'quicker',
  setup({ onLoad }) {
    // Each of 600 properties that a prototype gets one by one has V8 copy what it had: 30 ms. As a dictionary it does not.
    onLoad({ filter: /\/ioredis\/built\/utils\/Commander\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const loop = 'commands.forEach(function (commandName) {\n    Commander.prototype[commandName] =';
      if (text.split(loop).length !== 2) throw new Error(`${path}: has changed`);
      const before = 'Commander.prototype.call = undefined;\ndelete Commander.prototype.call;\n';
      return { contents: text.replace(loop, `${before}${loop}`), loader: 'js' };
    });
    // JSON is read faster than the same as a program
    onLoad({ filter: /\/@ioredis\/commands\/built\/commands\.json$/ }, ({ path }) => {
      const text = JSON.stringify(JSON.parse(readFileSync(path, 'utf8')));
      return { contents: `module.exports = JSON.parse(${JSON.stringify(text)});`, loader: 'js' };
    });
    // only for colours of DEBUG
    onLoad({ filter: /\/supports-color\/index\.js$/ }, () => ({
      contents: 'export default false;',
      loader: 'js',
    }));
  },
};

/** Each part stays a file of its own. */
const oneByOne: Plugin = {
  name: 'one by one',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === 'entry-point'
        ? undefined
        : { path: path.replace(/^(\.\/[\w-]+)\.js$/, '$1.cjs'), external: true },
    );
  },
};

/** Its licence permits a copy that has the notice with it. */
function notices({ inputs }: Metafile): string {
  const packages = new Set(
    Object.keys(inputs).flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []),
  );
  const texts = [...packages].sort().map((name) => {
    const place = resolve(root, name);
    const {
      name: title,
      version,
      license,
    }: Record<string, string> = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'));
    const files = readdirSync(place).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file));
    const text = files.map((file) => readFileSync(join(place, file), 'utf8').trim()).join('\n\n');
    return `${title} ${version} (${license})\n\n${text}`;
  });
  return `${['The files of this folder contain these libraries.', ...texts].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

const mains = [
  'src/cli.js',
  ...readdirSync(join(dist, 'workers'))
    .filter((name) => name.endsWith('.js'))
    .map((name) => `workers/${name}`),
];
for (const made of [folder, parts]) rmSync(made, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  nodePaths: [join(root, 'node_modules')],
  entryPoints: Object.fromEntries(
    mains.map((name) => [name.replace('/', '-').replace('.js', ''), join(dist, name)]),
  ),
  outdir: parts,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  metafile: true,
  // errors are told apart by the name of their class
  keepNames: true,
  legalComments: 'inline',
  logLevel: 'warning',
  plugins: [libraries, places, quicker],
});
// What a library says is its default is the default, as in ES modules that one of them makes of the other.
writeFileSync(join(parts, 'package.json'), '{}');
await build({
  absWorkingDir: root,
  entryPoints: [join(parts, '*.js')],
  outdir: folder,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node24',
  // `require`, later
  supported: { 'dynamic-import': false },
  // as ES modules are
  banner: { js: '"use strict";' },
  legalComments: 'inline',
  logLevel: 'warning',
  plugins: [oneByOne],
});
rmSync(parts, { recursive: true });
for (const name of readdirSync(folder).filter((each) => each.endsWith('.cjs'))) {
  const file = join(folder, name);
  // the loader puts a function around it
  writeFileSync(file, lazyBuiltins(readFileSync(file, 'utf8').replace(/^#!.*\n/, '')));
}
const made = createHash('sha256');
for (const name of readdirSync(folder).sort()) made.update(name).update(readFileSync(join(folder, name)));
await build({
  entryPoints: [join(import.meta.dirname, 'bundle/loader.ts')],
  outfile: join(folder, 'loader.cjs'),
  define: { BUILD: JSON.stringify(made.digest('hex')) },
  format: 'cjs',
  platform: 'node',
  target: 'node24',
  logLevel: 'warning',
});
for (const name of mains) {
  rmSync(join(dist, name));
  const file = name.replace('/', '-').replace('.js', '.cjs');
  const call = name.startsWith('workers/')
    ? `start('${file}', '${file.replace('.cjs', '')}')`
    : `startCommand('${file}')`;
  const stub = `require('../bundle/loader.cjs').${call};\n`;
  writeFileSync(join(dist, name.replace('.js', '.cjs')), stub);
}
writeFileSync(join(folder, 'THIRD-PARTY.txt'), notices(metafile));
