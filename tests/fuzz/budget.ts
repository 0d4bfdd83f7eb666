/**
 * How many seeds are tried: TENON_FUZZ of them from TENON_FUZZ_SEED on, and with TENON_FUZZ_MINUTES (npm run fuzz) more
 * for so long; each on one thread and on the numbers of threads in TENON_FUZZ_THREADS.
 */
export const RUNS = Number(process.env['TENON_FUZZ'] ?? 250);
export const FIRST = Number(process.env['TENON_FUZZ_SEED'] ?? 1);
export const MINUTES = Number(process.env['TENON_FUZZ_MINUTES'] ?? 0);
/** The first gives the bits that the others must have. */
export const THREADS = [1, ...(process.env['TENON_FUZZ_THREADS'] ?? '2').split(',').map(Number)];
/** Whether to go on after a difference, which is printed, and count them. */
const GOES_ON = !!process.env['TENON_FUZZ_ALL'];

/**
 * Checks seed after seed for so many minutes.
 * @throws Error at the first difference, or at the end with their number
 */
export async function runFor(minutes: number, check: (seed: number) => void): Promise<void> {
  const until = Date.now() + minutes * 60_000;
  let seed = FIRST + RUNS;
  let failures = 0;
  for (; Date.now() < until; seed++) {
    // A few machines in one process, none of which hears that a call of the pool is over, have more of them than koffi
    // allows.
    await new Promise(setImmediate);
    try {
      check(seed);
    } catch (error) {
      if (!GOES_ON) throw error;
      failures++;
      console.log(`fuzz: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  console.log(`fuzz: seeds up to ${seed}, ${failures} differences`);
  if (failures > 0) throw new Error(`${failures} differences`);
}
