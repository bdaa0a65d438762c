/** Runs one operation for about so many seconds after a warm-up, and prints how many there were in one. */
export async function loop(run: () => Promise<void> | void, seconds: number): Promise<void> {
  const warmUp = performance.now();
  await run();
  // slow ones need no more of it
  while (performance.now() - warmUp < 500) await run();
  const start = performance.now();
  let count = 0;
  do {
    await run();
    count += 1;
  } while (performance.now() - start < seconds * 1000);
  process.stdout.write(String((count * 1000) / (performance.now() - start)));
}
