/**
 * Node's modules, asked for when a file is read or written and not when a reader is imported: what reads from bytes
 * runs in browsers, too.
 */
const builtin = <T>(name: string): T => {
  const module = globalThis.process?.getBuiltinModule?.(name);
  if (!module) throw new Error(`files can be read in Node only: there is no ${name} here`);
  return module as T;
};

export const fs = (): typeof import('node:fs') => builtin('node:fs');
export const path = (): typeof import('node:path') => builtin('node:path');
