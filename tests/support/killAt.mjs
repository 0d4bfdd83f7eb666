/**
 * Imported before a program: ends it by SIGKILL just before the first file operation that KILL_AT names, as "rename PATH" or "remove PATH". PATH is the end of the
 * path that the operation makes or takes away.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [operation, end] = process.env.KILL_AT.split(' ');
const pathOf = { rename: (_from, to) => to, remove: path => path }[operation];
const name = { rename: 'renameSync', remove: 'rmSync' }[operation];
const real = fs[name];
fs[name] = (...args) => {
  if (String(pathOf(...args)).endsWith(end)) process.kill(process.pid, 'SIGKILL');
  return real(...args);
};
syncBuiltinESMExports();
