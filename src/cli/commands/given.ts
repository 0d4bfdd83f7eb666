/**
 * Which options stand on the command line, as opposed to defaults.
 */
import type { Command } from 'commander';

export const givenOptions = (command: Command): Set<string> =>
  new Set(Object.keys(command.opts()).filter(name => command.getOptionValueSource(name) === 'cli'));
