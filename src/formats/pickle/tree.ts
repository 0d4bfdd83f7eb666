/**
 * What a pickle holds as a flat list of named leaves: nested dicts, lists and layers are walked, names joined by dots.
 */
import { FileBytes } from './cursor.ts';
import { Global } from './machine.ts';

const MAX_DEPTH = 64;

/** An object that stands for what it contains. */
export interface Branch {
  branches(): [string, unknown][];
}

/** Something a file holds that Tenon has nothing for: a sparse or quantised tensor, a device. */
export class Opaque {
  readonly what: string;

  constructor(what: string) {
    this.what = what;
  }
}

/**
 * Leaves with their names. A pickle may share parts, so that walking it takes time out of proportion to the file: that
 * is refused, and so is a value inside of itself.
 */
export function named(root: unknown, fileBytes: number, path: string): [string, unknown][] {
  const found: [string, unknown][] = [];
  const open = new Set<unknown>();
  let visits = 0;
  const visit = (name: string, value: unknown): void => {
    if (++visits > fileBytes + 1000)
      throw new Error(`${path}: it holds more values than bytes: parts are shared too often`);
    const children = childrenOf(value);
    if (!children) {
      found.push([name, leafOf(value)]);
      return;
    }
    if (open.has(value)) throw new Error(`${path}: ${name || 'the value'} contains itself`);
    if (open.size > MAX_DEPTH) throw new Error(`${path}: ${name} is nested deeper than ${MAX_DEPTH}`);
    open.add(value);
    for (const [key, child] of children) visit(name && key ? `${name}.${key}` : name || key, child);
    open.delete(value);
  };
  visit('', root);
  // A tensor saved alone still needs a name.
  return found.map(([name, value]) => [name || 'tensor', value]);
}

const isBranch = (value: unknown): value is Branch =>
  typeof value === 'object' && value !== null && 'branches' in value && typeof value.branches === 'function';

function childrenOf(value: unknown): [string, unknown][] | null {
  if (value instanceof Map) return [...value].map(([key, child]) => [String(key), child]);
  if (isBranch(value)) return value.branches();
  if (Array.isArray(value) && value.some(item => typeof item === 'object' && item !== null))
    return value.map((child, i) => [String(i), child]);
  return null;
}

/** A leaf that is no tensor as plain data where it can be. */
function leafOf(value: unknown): unknown {
  if (value instanceof Opaque) return value.what;
  if (value instanceof FileBytes || value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Set) return [...value].map(leafOf);
  if (value instanceof Global) return value.name;
  return value;
}
