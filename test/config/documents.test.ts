import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { configJsonSchema, schemaFiles } from '../../scripts/config-schema.ts';
import { exampleFile, settingsPage } from '../../scripts/settings.ts';
import { readConfig } from '../../src/config/load.ts';
import { restoreConfig, storeConfig } from '../../src/config/origin.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { configSchema } from '../../src/config/schema.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(resolve(root, file), 'utf8');

describe('settings page and example', () => {
  const stale = 'run: npm run docs:settings';
  it('docs/settings.md is what the schema says', () => {
    assert.equal(read('docs/settings.md') === settingsPage(), true, stale);
  });
  it('config/sealpost.example.yaml is what the schema says', () => {
    assert.equal(read('config/sealpost.example.yaml') === exampleFile(), true, stale);
  });

  for (const name of schemaFiles)
    it(`docs/${name} is what the schema says`, () => {
      assert.equal(read(`docs/${name}`) === configJsonSchema(name), true, 'run: npm run docs:config-schema');
    });

  it('the example is right as it stands', () => {
    const { config, problems } = readConfig(exampleFile(), 'example.yaml');
    assert.deepEqual(problems.map(formatProblem), []);
    assert.equal(config?.mailboxes.length, 1);
    assert.equal(config?.partners.length, 1);
  });

  it('the example with every comment sign before a setting removed has every setting of the page, each right', () => {
    const full: unknown = parse(exampleFile().replaceAll(/^(\s*)#(?=\S)/gm, '$1'));
    const parsed = configSchema.safeParse(full);
    assert.deepEqual(parsed.error?.issues ?? [], []);
    assert.ok(parsed.data);
    // the supervisor gives it to the roles
    assert.deepEqual(restoreConfig(storeConfig(parsed.data)), parsed.data);
    const found = new Set<string>();
    const visit = (value: unknown, path: string) => {
      found.add(path);
      if (Array.isArray(value)) for (const each of value) visit(each, `${path}[]`);
      else if (typeof value === 'object' && value !== null)
        for (const [key, each] of Object.entries(value)) visit(each, path === '' ? key : `${path}.${key}`);
    };
    visit(full, '');
    const documented = [...settingsPage().matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '');
    assert.ok(documented.length > 100);
    assert.deepEqual(
      documented.filter((path) => !found.has(path)),
      [],
    );
  });

  it('config/sealpost.yaml of the compose file is right', () => {
    const { config, problems } = readConfig(read('config/sealpost.yaml'), '/etc/sealpost/sealpost.yaml');
    assert.notEqual(config, undefined);
    // open to other containers, without TLS and without a login: nothing else is to be said of it
    assert.deepEqual(
      problems.map(({ setting, severity }) => [severity, setting]),
      [
        ['warning', 'smtp.listen'],
        ['warning', 'http.host'],
      ],
    );
  });
});
