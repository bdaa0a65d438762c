import { Option } from 'commander';

/** `--config FILE`, the same on every command that needs the configuration. */
export function configOption(): Option {
  return new Option('--config <file>', 'configuration file')
    .env('SEALPOST_CONFIG')
    .default('/etc/sealpost/sealpost.yaml');
}

/** Collects a repeatable option into a list. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
