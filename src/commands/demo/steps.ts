import { printLine } from '../output.ts';

/** What the demo prints: numbered steps and indented facts, on standard output. */
export class Steps {
  #count = 0;
  readonly #started = performance.now();

  step(text: string): void {
    this.#count += 1;
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(5);
    printLine('');
    printLine(`${seconds} s  ${this.#count}. ${text}`);
  }

  fact(name: string, value: string): void {
    printLine(`            ${name.padEnd(14)} ${value}`);
  }

  end(text: string): void {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    printLine('');
    printLine(`${text} (${seconds} s)`);
  }
}
