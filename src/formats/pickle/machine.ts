/**
 * Python's pickle, protocols 0 to 5, read without executing anything (opcodes: CPython's Lib/pickletools.py). A pickle
 * is a program for a stack machine; the only door to code is a global name, and here a name is looked up in a list the
 * caller gives: what is not on the list is refused before anything is built. Dicts come as Maps, tuples and lists as
 * arrays, bytes as runs of the file.
 */
import type { Cursor } from './cursor.ts';

/** What a global name stands for: called with the arguments a pickle gives, it builds a value of ours. */
export type Builder = (args: readonly unknown[]) => unknown;

/** A global as a value: pickles also pass classes around (storage types, dtypes). */
export class Global {
  readonly name: string;
  readonly build: Builder;

  constructor(name: string, build: Builder) {
    this.name = name;
    this.build = build;
  }
}

/** An object that takes the state of BUILD; others ignore it. */
export interface Stateful {
  setState(state: unknown): void;
}

interface PickleOptions {
  /** The builder of `module.name`, or null where it is not allowed. */
  readonly global: (name: string) => Builder | null;
  /** What a persistent id stands for (PyTorch's storages); refused without it. */
  readonly persistent?: (id: unknown) => unknown;
}

/** Integers longer than this are refused: no file of weights holds one. */
const MAX_INTEGER_BYTES = 1024;

const MARK = Symbol('mark');
type Memo = Map<number, unknown>;

/**
 * Runs one pickle from `cursor` on and returns its value; the cursor then stands behind its STOP.
 * @throws Error naming file and byte: an opcode or name that is not allowed, a stack that does not fit, a file that is
 * cut off
 */
export function unpickle(cursor: Cursor, options: PickleOptions): unknown {
  return new Machine(cursor, options).run();
}

class Machine {
  private readonly cursor: Cursor;
  private readonly options: PickleOptions;
  private readonly stack: unknown[] = [];
  private readonly memo: Memo = new Map();
  private readonly globals = new Map<string, Global>();
  /** Where the opcode at hand stands. */
  private start = 0;

  constructor(cursor: Cursor, options: PickleOptions) {
    this.cursor = cursor;
    this.options = options;
  }

  run(): unknown {
    for (;;) {
      this.start = this.cursor.at;
      const opcode = this.cursor.byte();
      if (opcode === STOP) return this.pop();
      const rule = OPCODES.get(opcode);
      if (!rule) this.fail(`unknown opcode 0x${opcode.toString(16).padStart(2, '0')}`);
      else rule(this, this.cursor);
    }
  }

  fail(what: string): never {
    return this.cursor.fail(what, this.start);
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length === 0 || this.stack.at(-1) === MARK) this.fail('the stack is empty');
    return this.stack.pop();
  }

  top(): unknown {
    if (this.stack.length === 0 || this.stack.at(-1) === MARK) this.fail('the stack is empty');
    return this.stack.at(-1);
  }

  mark(): void {
    this.stack.push(MARK);
  }

  /** Everything above the last mark, which goes too. */
  popMark(): unknown[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) this.fail('there is no mark on the stack');
    const items = this.stack.splice(at);
    items.shift();
    return items;
  }

  /** POP takes a mark as well. */
  drop(): void {
    if (this.stack.length === 0) this.fail('the stack is empty');
    this.stack.pop();
  }

  remember(key = this.memo.size): void {
    this.memo.set(key, this.top());
  }

  recall(key: number): void {
    if (!this.memo.has(key)) this.fail(`memo ${key} was never written`);
    this.push(this.memo.get(key));
  }

  global(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') this.fail('a global whose name is no text');
    const full = `${module}.${name}`;
    let global = this.globals.get(full);
    if (!global) {
      const build = this.options.global(full);
      if (!build)
        this.fail(`asks for ${full}, which is not on the list of names this reader builds; nothing was executed`);
      global = new Global(full, build);
      this.globals.set(full, global);
    }
    this.push(global);
  }

  reduce(callee: unknown, args: unknown): void {
    if (!(callee instanceof Global)) this.fail('calls something that is no global');
    if (!Array.isArray(args)) this.fail(`calls ${callee.name} with arguments that are no tuple`);
    try {
      this.push(callee.build(args));
    } catch (error) {
      this.fail(`${callee.name}: ${(error as Error).message}`);
    }
  }

  build(): void {
    const state = this.pop();
    const target = this.top() as Partial<Stateful> | null;
    if (typeof target !== 'object' || target === null) this.fail('gives state to something that is no object');
    try {
      target.setState?.(state);
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  persistent(id: unknown): void {
    if (!this.options.persistent) this.fail('has a persistent id, which only PyTorch files have');
    try {
      this.push(this.options.persistent(id));
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  append(items: readonly unknown[]): void {
    const list = this.top();
    if (list instanceof Set) for (const item of items) list.add(item);
    else if (Array.isArray(list)) for (const item of items) list.push(item);
    else this.fail('appends to something that is no list');
  }

  setItems(items: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) this.fail('sets items of something that is no dict');
    if (items.length % 2 !== 0) this.fail('sets an odd number of keys and values');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  dict(items: readonly unknown[]): void {
    this.push(new Map());
    this.setItems(items);
  }

  integer(bytes: Uint8Array): void {
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    this.push(plain(BigInt.asIntN(bytes.length * 8, value)));
  }

  long(length: number): void {
    if (length < 0 || length > MAX_INTEGER_BYTES)
      this.fail(`an integer of ${length} bytes, at most ${MAX_INTEGER_BYTES} are read`);
    this.integer(this.cursor.bytes(length));
  }

  bytes(length: number): void {
    this.push(this.cursor.skip(length));
  }

  text(length: number): void {
    if (length < 0 || length > this.cursor.source.size) this.fail(`a text of ${length} bytes`);
    this.push(this.cursor.text(length));
  }

  decimal(text: string): void {
    const digits = text.replace(/L$/, '');
    if (!/^-?\d{1,4000}$/.test(digits)) this.fail(`${JSON.stringify(text.slice(0, 40))} is no integer`);
    this.push(plain(BigInt(digits)));
  }
}

/** Integers as numbers where that is exact. */
const plain = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

/** Python's repr of a byte string of protocol 0, without its quotes. */
function quoted(line: string, m: Machine): string {
  const quote = line[0];
  if (line.length < 2 || (quote !== "'" && quote !== '"') || line.at(-1) !== quote) m.fail('a text without quotes');
  const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };
  return line
    .slice(1, -1)
    .replace(/\\(x[0-9a-f]{2}|.)/g, (_, code: string) =>
      code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (escapes[code] ?? code),
    );
}

/** Python's raw-unicode-escape, which protocol 0 writes text in. */
const unescaped = (line: string, m: Machine): string =>
  line.replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (_, four?: string, eight?: string) => {
    const point = Number.parseInt(four ?? eight!, 16);
    return point > 0x10ffff ? m.fail(`the character U+${point.toString(16)}`) : String.fromCodePoint(point);
  });

type Rule = (m: Machine, c: Cursor) => void;
const STOP = 0x2e;
const code = (char: string): number => char.charCodeAt(0);
const index = (text: string, m: Machine): number => (/^\d{1,15}$/.test(text) ? Number(text) : m.fail(`memo ${text}`));
const tuple = (m: Machine, n: number): void => {
  const items = Array.from({ length: n }, () => m.pop()).reverse();
  m.push(items);
};

const OPCODES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  // ---- frames and protocol
  [0x80, (m, c) => { const p = c.byte(); if (p > 5) m.fail(`protocol ${p}, at most 5 is known`); }],
  [0x95, (_, c) => void c.bytes(8)],
  // ---- constants
  [code('N'), m => m.push(null)],
  [0x88, m => m.push(true)],
  [0x89, m => m.push(false)],
  [code('I'), (m, c) => { const t = c.line(); t === '00' || t === '01' ? m.push(t === '01') : m.decimal(t); }],
  [code('L'), (m, c) => m.decimal(c.line())],
  [code('J'), (m, c) => m.push(c.i32())],
  [code('K'), (m, c) => m.push(c.byte())],
  [code('M'), (m, c) => m.push(c.u16())],
  [0x8a, (m, c) => m.long(c.byte())],
  [0x8b, (m, c) => m.long(c.i32())],
  [code('F'), (m, c) => m.push(Number(c.line()))],
  [code('G'), (m, c) => m.push(c.f64())],
  // ---- text and bytes; protocol 0 to 2 has no bytes, and numpy of that time passes them as latin-1 text
  [code('S'), (m, c) => m.push(quoted(c.line(), m))],
  [code('T'), (m, c) => m.bytes(c.u32())],
  [code('U'), (m, c) => m.push(Buffer.from(c.bytes(c.byte())).toString('latin1'))],
  [code('V'), (m, c) => m.push(unescaped(c.line(), m))],
  [code('X'), (m, c) => m.text(c.u32())],
  [0x8c, (m, c) => m.text(c.byte())],
  [0x8d, (m, c) => m.text(c.u64())],
  [code('B'), (m, c) => m.bytes(c.u32())],
  [code('C'), (m, c) => m.bytes(c.byte())],
  [0x8e, (m, c) => m.bytes(c.u64())],
  [0x96, (m, c) => m.bytes(c.u64())],
  // ---- containers
  [code('('), m => m.mark()],
  [code(')'), m => m.push([])],
  [code('t'), m => m.push(m.popMark())],
  [0x85, m => tuple(m, 1)],
  [0x86, m => tuple(m, 2)],
  [0x87, m => tuple(m, 3)],
  [code(']'), m => m.push([])],
  [code('l'), m => m.push(m.popMark())],
  [code('a'), m => { const item = m.pop(); m.append([item]); }],
  [code('e'), m => m.append(m.popMark())],
  [code('}'), m => m.push(new Map())],
  [code('d'), m => m.dict(m.popMark())],
  [code('s'), m => { const value = m.pop(); const key = m.pop(); m.setItems([key, value]); }],
  [code('u'), m => m.setItems(m.popMark())],
  [0x8f, m => m.push(new Set())],
  [0x90, m => m.append(m.popMark())],
  [0x91, m => m.push(new Set(m.popMark()))],
  // ---- the stack and the memo
  [code('0'), m => m.drop()],
  [code('1'), m => void m.popMark()],
  [code('2'), m => m.push(m.top())],
  [code('p'), (m, c) => m.remember(index(c.line(), m))],
  [code('q'), (m, c) => m.remember(c.byte())],
  [code('r'), (m, c) => m.remember(c.u32())],
  [0x94, m => m.remember()],
  [code('g'), (m, c) => m.recall(index(c.line(), m))],
  [code('h'), (m, c) => m.recall(c.byte())],
  [code('j'), (m, c) => m.recall(c.u32())],
  // ---- globals and objects
  [code('c'), (m, c) => { const module = c.line(); m.global(module, c.line()); }],
  [0x93, m => { const name = m.pop(); m.global(m.pop(), name); }],
  [code('R'), m => { const args = m.pop(); m.reduce(m.pop(), args); }],
  [0x81, m => { const args = m.pop(); m.reduce(m.pop(), args); }],
  [0x92, m => { m.pop(); const args = m.pop(); m.reduce(m.pop(), args); }],
  [code('o'), m => { const [callee, ...args] = m.popMark(); m.reduce(callee, args); }],
  [code('i'), (m, c) => {
    const module = c.line();
    const args = m.popMark();
    m.global(module, c.line());
    m.reduce(m.pop(), args);
  }],
  [code('b'), m => m.build()],
  [code('P'), (m, c) => m.persistent(c.line())],
  [code('Q'), m => m.persistent(m.pop())],
]); // biome-ignore format: a table
