/** What the demo prints: numbered steps and indented facts, on standard output. */
export class Steps {
  #count = 0;
  readonly #started = performance.now();

  step(text: string): void {
    this.#count += 1;
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(5);
    process.stdout.write(`\n${seconds} s  ${this.#count}. ${text}\n`);
  }

  fact(name: string, value: string): void {
    process.stdout.write(`            ${name.padEnd(14)} ${value}\n`);
  }

  end(text: string): void {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    process.stdout.write(`\n${text} (${seconds} s)\n`);
  }
}
