/**
 * What bin/tenon.js starts.
 */
import { run } from './program.ts';

// A reader that closes its end of a pipe (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await run(process.argv.slice(2));
// Worker threads of a backend would keep the process alive; what was printed must be out before.
process.stdout.write('', () => process.exit());
