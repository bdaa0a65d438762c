import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';
import { readersOf } from '../../src/config/secret-places.ts';
import { optionsOf, settingsOf, shapeOf } from '../../src/config/shape.ts';
import { environmentOf, secretVariablesOf } from '../../src/daemon/environment.ts';

/** Paths of all settings that are secrets, with 0 for a place in a list. */
function secretPaths(schema: z.core.$ZodType, path: (string | number)[] = []): (string | number)[][] {
  if (schema instanceof z.ZodObject)
    return Object.entries(schema.shape).flatMap(([name, each]) => secretPaths(each, [...path, name]));
  if (schema instanceof z.ZodArray) return secretPaths(schema.element, [...path, 0]);
  if (schema instanceof z.ZodUnion) {
    const isSecret = schema.options.some((each) => each instanceof z.ZodObject && 'env' in each.shape);
    return isSecret ? [path] : schema.options.flatMap((each) => secretPaths(each, path));
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return secretPaths(schema.unwrap(), path);
  return [];
}

/** Paths of all settings that name a file or folder, with 0 for a place in a list. */
function pathPaths(schema: z.core.$ZodType, path: (string | number)[] = []): (string | number)[][] {
  const shape = shapeOf(schema);
  if (shape.format === 'path') return [path];
  const settings = settingsOf(schema);
  if (settings !== undefined)
    return Object.entries(settings).flatMap(([name, each]) => pathPaths(each, [...path, name]));
  if (shape.core instanceof z.core.$ZodArray) return pathPaths(shape.core._zod.def.element, [...path, 0]);
  return (optionsOf(schema) ?? []).flatMap((each) => pathPaths(each, path));
}

describe('the environment of a role', () => {
  it('has what the system needs, the secrets of the role, and nothing else', () => {
    const source = { PATH: '/bin', LC_ALL: 'C', KEY_PASSWORD: 'x', HOOK: 'y', SEALPOST_PASSWORD: 'z' };
    assert.deepEqual(environmentOf(source, ['HOOK']), { PATH: '/bin', LC_ALL: 'C', HOOK: 'y' });
    const passed = { ...source, SEALPOST_PASS_ENV: 'OTHER, MORE', OTHER: '1', MORE: '2' };
    assert.deepEqual(environmentOf(passed, []), { PATH: '/bin', LC_ALL: 'C', OTHER: '1', MORE: '2' });
  });

  it('has each secret of the schema for some role', () => {
    const paths = secretPaths(configSchema);
    assert.ok(paths.length > 10, `${paths.length}`);
    for (const path of paths) assert.ok(readersOf(path).length > 0, `nobody reads ${path.join('.')}`);
  });

  it('has each file and folder of the schema for some role', () => {
    const paths = pathPaths(configSchema);
    assert.ok(paths.length > 25, `${paths.length}`);
    for (const path of paths) assert.ok(readersOf(path).length > 0, `nobody reads ${path.join('.')}`);
  });

  it('gives passwords of keys to decrypt and outbound alone', async () => {
    const config = configSchema.parse({
      redis: { url: 'redis://x', password: { env: 'REDIS' } },
      identities: [{ name: 'own', pkcs12: 'x', password: { env: 'KEY' } }],
      mailboxes: [
        { name: 'm', destinations: [{ type: 'webhook', url: 'http://x', secret: { env: 'HOOK' } }] },
      ],
    });
    const variables = await secretVariablesOf(config);
    assert.deepEqual(Object.fromEntries(variables), {
      receive: ['REDIS'],
      decrypt: ['REDIS', 'KEY'],
      handoff: ['REDIS', 'HOOK'],
      outbound: ['REDIS', 'KEY'],
      http: ['REDIS'],
      submit: ['REDIS'],
      api: ['REDIS'],
      console: ['REDIS'],
    });
  });
});
