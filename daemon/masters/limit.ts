// So many at once, the others in the order in which they came.

/** Wraps an asynchronous function so that no more than `most` calls of it are under way at any time. */
export function limited<Args extends unknown[], Result>(
  most: number,
  run: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  let running = 0;
  const waiting: (() => void)[] = [];
  const begin = (): Promise<void> | undefined => {
    if (running < most) return void running++;
    return new Promise((go) => void waiting.push(go));
  };
  const end = (): void => {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  };
  return async (...args) => {
    await begin();
    try {
      return await run(...args);
    } finally {
      end();
    }
  };
}
