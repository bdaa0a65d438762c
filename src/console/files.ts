/**
 * The files of the console that are the same for everybody: styles, scripts, pictures. They are read once, at the
 * start.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, join } from 'node:path';

export interface PublicFile {
  type: string;
  octets: Buffer;
  etag: string;
}

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

/** A public file with its octets. */
export function publicFile(name: string, octets: Buffer): PublicFile {
  const etag = `"${createHash('sha256').update(octets).digest('hex').slice(0, 32)}"`;
  return { type: types[extname(name)] ?? 'application/octet-stream', octets, etag };
}

/** Files of packages, as they are published. */
const packaged = ['uplot/dist/uPlot.iife.min.js', 'uplot/dist/uPlot.min.css'];

/** By name, so no path leads to any other file. */
export function publicFiles(folder = join(import.meta.dirname, 'static')): Map<string, PublicFile> {
  const names = readdirSync(folder).filter((name) => extname(name) in types);
  const { resolve } = createRequire(import.meta.url);
  const paths = [...names.map((name) => join(folder, name)), ...packaged.map((path) => resolve(path))];
  return new Map(paths.map((path) => [basename(path), publicFile(path, readFileSync(path))]));
}
