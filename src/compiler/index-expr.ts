/**
 * Index expressions: where a kernel reads and writes, as exact integer arithmetic over loop variables. An expression is
 * a sum of coef * atom plus a constant; atoms are variables, floor divisions, remainders and loaded indices, each with
 * a known range, so that guards can be proven and divisions cancel: (i * 12 + j) / 12 is i for 0 <= j < 12. Expressions
 * are interned: equal ones are the same object. Knows nothing of graphs and loops.
 */

/** A loop variable: 0 <= value < extent. */
export interface VarAtom {
  readonly kind: 'var';
  readonly id: number;
  readonly extent: number;
  readonly lo: number;
  readonly hi: number;
}

/** floor(of / by) or of mod by; `of` is never negative. */
interface DivAtom {
  readonly kind: 'div' | 'mod';
  readonly id: number;
  readonly of: Ix;
  readonly by: number;
  readonly lo: number;
  readonly hi: number;
}

/** An index that is loaded, checked to lie in [lo, hi]; `of` is whatever the owner of the table needs to load it. */
export interface DataAtom<T = unknown> {
  readonly kind: 'data';
  readonly id: number;
  readonly of: T;
  /** Variables the loaded index depends on. */
  readonly vars: readonly VarAtom[];
  readonly lo: number;
  readonly hi: number;
}

export type Atom = VarAtom | DivAtom | DataAtom;

export interface Term {
  readonly atom: Atom;
  readonly coef: number;
}

export interface Ix {
  readonly id: number;
  /** By atom id, coefficients not 0. */
  readonly terms: readonly Term[];
  readonly constant: number;
  readonly lo: number;
  readonly hi: number;
}

/** Adds coef * atom to `terms`, which are in the order of atoms and have no coefficients of 0. */
function addTerm(terms: Term[], atom: Atom, coef: number): void {
  let at = terms.length;
  while (at > 0 && terms[at - 1]!.atom.id > atom.id) at--;
  const known = at > 0 ? terms[at - 1]! : null;
  if (known?.atom !== atom) {
    if (at === terms.length) terms.push({ atom, coef });
    else terms.splice(at, 0, { atom, coef });
  } else if (known.coef + coef === 0) terms.splice(at - 1, 1);
  else terms[at - 1] = { atom, coef: known.coef + coef };
}

const floorMod = (a: number, b: number): number => a - b * Math.floor(a / b);

export class IndexTable {
  private atoms = 0;
  private readonly known = new Map<string, Ix>();
  private readonly knownAtoms = new Map<string, Atom>();
  readonly zero: Ix;

  constructor() {
    this.zero = this.intern([], 0);
  }

  private intern(terms: readonly Term[], constant: number): Ix {
    let key = String(constant);
    for (const { atom, coef } of terms) key += `,${atom.id}*${coef}`;
    const known = this.known.get(key);
    if (known) return known;
    let lo = constant;
    let hi = constant;
    for (const { atom, coef } of terms) {
      if (coef > 0) {
        lo += coef * atom.lo;
        hi += coef * atom.hi;
      } else {
        lo += coef * atom.hi;
        hi += coef * atom.lo;
      }
    }
    const ix: Ix = { id: this.known.size, terms, constant, lo, hi };
    this.known.set(key, ix);
    return ix;
  }

  constant(value: number): Ix {
    return this.intern([], value);
  }

  /** A fresh variable. Of extent 1 (or 0) it is the constant 0: `asIx` says so. */
  variable(extent: number): VarAtom {
    return { kind: 'var', id: this.atoms++, extent, lo: 0, hi: Math.max(0, extent - 1) };
  }

  /** The variable of this extent known by `key`: equal computations get equal expressions. */
  shared(key: string, extent: number): VarAtom {
    const full = `var:${key}:${extent}`;
    let atom = this.knownAtoms.get(full);
    if (!atom) {
      atom = this.variable(extent);
      this.knownAtoms.set(full, atom);
    }
    return atom as VarAtom;
  }

  ofAtom(atom: Atom): Ix {
    if (atom.lo === atom.hi) return this.constant(atom.lo);
    return this.intern([{ atom, coef: 1 }], 0);
  }

  /** An index loaded at run time; `key` tells different loads apart. */
  data<T>(key: string, of: () => T, lo: number, hi: number, vars: readonly VarAtom[]): Ix {
    const full = `data:${key}`;
    let atom = this.knownAtoms.get(full);
    if (!atom) {
      atom = { kind: 'data', id: this.atoms++, of: of(), lo, hi, vars };
      this.knownAtoms.set(full, atom);
    }
    return this.ofAtom(atom);
  }

  add(a: Ix, b: Ix): Ix {
    if (a.terms.length === 0 && a.constant === 0) return b;
    if (b.terms.length === 0) return b.constant === 0 ? a : this.intern(a.terms, a.constant + b.constant);
    return this.sum([
      [a, 1],
      [b, 1],
    ]);
  }

  scale(a: Ix, by: number): Ix {
    if (by === 1) return a;
    if (by === 0) return this.zero;
    return this.intern(
      a.terms.map(({ atom, coef }) => ({ atom, coef: coef * by })),
      a.constant * by,
    );
  }

  /** Sum of scaled expressions plus `constant`. */
  sum(parts: readonly (readonly [Ix, number])[], constant = 0): Ix {
    let total = constant;
    const terms: Term[] = [];
    let divisions = false;
    for (let p = 0; p < parts.length; p++) {
      const [ix, by] = parts[p]!;
      if (by === 0) continue;
      total += ix.constant * by;
      for (let t = 0; t < ix.terms.length; t++) {
        const { atom, coef } = ix.terms[t]!;
        addTerm(terms, atom, coef * by);
        if (atom.kind === 'div') divisions = true;
      }
    }
    if (divisions) {
      const joined = this.rejoin(terms);
      if (joined) return this.sum([[this.intern(terms, total), 1], joined]);
    }
    return this.intern(terms, total);
  }

  /** Takes c*b*floor(x / b) + c*(x mod b) out of `terms` and returns it as c * x. */
  private rejoin(terms: Term[]): readonly [Ix, number] | null {
    for (const term of terms) {
      const { atom, coef } = term;
      if (atom.kind !== 'div' || coef % atom.by !== 0) continue;
      let rest = this.knownAtoms.get(`mod:${atom.of.id}:${atom.by}`);
      if (!rest) {
        // (x mod a) mod b is kept as x mod b where b divides a: it is what is left of (x mod a) / b all the same.
        const only = atom.of.terms.length === 1 && atom.of.constant === 0 ? atom.of.terms[0]! : null;
        if (only?.coef === 1 && only.atom.kind === 'mod' && only.atom.by % atom.by === 0)
          rest = this.knownAtoms.get(`mod:${only.atom.of.id}:${atom.by}`);
      }
      const other = terms.find(({ atom }) => atom === rest);
      if (!other || other.coef !== coef / atom.by) continue;
      terms.splice(terms.indexOf(term), 1);
      terms.splice(terms.indexOf(other), 1);
      return [atom.of, coef / atom.by];
    }
    return null;
  }

  /**
   * Splits a into q * by + rest, rest without multiples of `by` and with rest.lo >= 0 (as small as a multiple of `by`
   * allows).
   */
  private partition(a: Ix, by: number): { readonly quotient: Ix; readonly rest: Ix } {
    const whole: Term[] = [];
    const broken: Term[] = [];
    for (const { atom, coef } of a.terms) {
      if (coef % by === 0) whole.push({ atom, coef: coef / by });
      else broken.push({ atom, coef });
    }
    let low = 0;
    for (const { atom, coef } of broken) low += coef > 0 ? coef * atom.lo : coef * atom.hi;
    // The constant goes to the quotient as far as it can while the rest stays non-negative.
    const moved = Math.floor((low + a.constant) / by);
    return {
      quotient: this.intern(whole, moved),
      rest: this.intern(broken, a.constant - moved * by),
    };
  }

  floorDiv(a: Ix, by: number): Ix {
    if (by === 1) return a;
    const { quotient, rest } = this.partition(a, by);
    return this.add(quotient, this.divide(rest, by));
  }

  /** floor(a / by) where the terms that `by` divides decide it, else null. */
  wholeSteps(a: Ix, by: number): Ix | null {
    const { quotient, rest } = this.partition(a, by);
    return rest.hi < by ? quotient : null;
  }

  /**
   * A step that divides `by` and the terms of `high`, while what is left is less than it: high / by and high mod by are
   * decided by whole steps then (256 j + k + 65536 i behind 256 x 256 by 393216 is i / 6). Null where there is none.
   */
  private separate(a: Ix, by: number): { readonly step: number; readonly high: Ix; readonly low: Ix } | null {
    if (a.terms.length < 2) return null;
    const steps = new Set(a.terms.map(({ coef }) => gcd(by, Math.abs(coef))));
    for (const step of [...steps].sort((x, y) => y - x)) {
      const low = this.intern(
        a.terms.filter(({ coef }) => coef % step !== 0),
        a.constant,
      );
      if (low.terms.length === 0 || low.lo < 0 || low.hi >= step) continue;
      return {
        step,
        high: this.intern(
          a.terms.filter(({ coef }) => coef % step === 0),
          0,
        ),
        low,
      };
    }
    return null;
  }

  private divide(rest: Ix, by: number): Ix {
    if (rest.hi < by) return this.zero;
    const parts = this.separate(rest, by);
    if (parts) return this.floorDiv(this.reduceBy(parts.high, parts.step), by / parts.step);
    const g = rest.terms.reduce((acc, { coef }) => gcd(acc, Math.abs(coef)), by);
    if (g > 1) return this.floorDiv(this.reduceBy(rest, g), by / g);
    const only = rest.terms.length === 1 && rest.constant === 0 ? rest.terms[0]! : null;
    if (only && only.coef === 1 && only.atom.kind === 'div') return this.floorDiv(only.atom.of, only.atom.by * by);
    return this.ofAtom(this.divAtom('div', rest, by));
  }

  /** floor(a / g) where g divides every coefficient. */
  private reduceBy(a: Ix, g: number): Ix {
    return this.intern(
      a.terms.map(({ atom, coef }) => ({ atom, coef: coef / g })),
      Math.floor(a.constant / g),
    );
  }

  mod(a: Ix, by: number): Ix {
    if (by === 1) return this.zero;
    const { rest } = this.partition(a, by);
    if (rest.hi < by) return rest;
    const parts = this.separate(rest, by);
    if (parts) {
      const steps = this.mod(this.reduceBy(parts.high, parts.step), by / parts.step);
      return this.sum([
        [steps, parts.step],
        [parts.low, 1],
      ]);
    }
    const g = rest.terms.reduce((acc, { coef }) => gcd(acc, Math.abs(coef)), by);
    if (g > 1) {
      const reduced = this.mod(this.reduceBy(rest, g), by / g);
      return this.sum([[reduced, g]], floorMod(rest.constant, g));
    }
    const only = rest.terms.length === 1 && rest.constant === 0 ? rest.terms[0]! : null;
    if (only && only.coef === 1 && only.atom.kind === 'mod' && only.atom.by % by === 0)
      return this.mod(only.atom.of, by);
    return this.ofAtom(this.divAtom('mod', rest, by));
  }

  private divAtom(kind: 'div' | 'mod', of: Ix, by: number): Atom {
    const key = `${kind}:${of.id}:${by}`;
    let atom = this.knownAtoms.get(key);
    if (!atom) {
      const [lo, hi] = kind === 'div' ? [Math.floor(of.lo / by), Math.floor(of.hi / by)] : [0, by - 1];
      atom = { kind, id: this.atoms++, of, by, lo, hi };
      this.knownAtoms.set(key, atom);
    }
    return atom;
  }

  /** Row-major position of `coords` in `shape`. */
  linear(coords: readonly Ix[], shape: readonly number[]): Ix {
    if (coords.length === 1) return coords[0]!;
    const parts: (readonly [Ix, number])[] = [];
    let stride = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      parts.push([coords[d]!, stride]);
      stride *= shape[d]!;
    }
    return this.sum(parts);
  }

  /** Coordinates in `shape` of a row-major position. */
  unravel(position: Ix, shape: readonly number[]): Ix[] {
    const coords: Ix[] = Array.from({ length: shape.length });
    let rest = position;
    let left = 1;
    for (const n of shape) left *= n;
    for (let d = 0; d < shape.length; d++) {
      const n = shape[d]!;
      left /= Math.max(1, n);
      if (n <= 1) coords[d] = this.zero;
      else {
        coords[d] = this.floorDiv(rest, left);
        rest = this.mod(rest, left);
      }
    }
    return coords;
  }

  /** `a` with variables replaced. Loaded indices must not depend on them. */
  substitute(a: Ix, by: ReadonlyMap<VarAtom, Ix>, memo: Map<Ix, Ix> = new Map()): Ix {
    const known = memo.get(a);
    if (known) return known;
    const parts: (readonly [Ix, number])[] = a.terms.map(({ atom, coef }) => {
      if (atom.kind === 'var') return [by.get(atom) ?? this.ofAtom(atom), coef] as const;
      if (atom.kind === 'data') return [this.ofAtom(atom), coef] as const;
      const of = this.substitute(atom.of, by, memo);
      return [atom.kind === 'div' ? this.floorDiv(of, atom.by) : this.mod(of, atom.by), coef] as const;
    });
    const result = this.sum(parts, a.constant);
    memo.set(a, result);
    return result;
  }
}

export const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** Calls `see` for every variable under `a`, with repetitions. */
function eachVar(a: Ix, see: (atom: VarAtom) => void): void {
  for (const { atom } of a.terms) {
    if (atom.kind === 'var') see(atom);
    else if (atom.kind === 'data') atom.vars.forEach(see);
    else eachVar(atom.of, see);
  }
}

/** Coefficient of `variable` when `a` depends on it in no other way, else null. */
export function coefficient(a: Ix, variable: VarAtom): number | null {
  let found = 0;
  for (const { atom, coef } of a.terms) {
    if (atom === variable) found = coef;
    else if (atom.kind === 'data') {
      if (atom.vars.includes(variable)) return null;
    } else if (atom.kind !== 'var') {
      let inside = false;
      eachVar(atom.of, v => {
        if (v === variable) inside = true;
      });
      if (inside) return null;
    }
  }
  return found;
}

/** Readable form, with `name` for variables. */
export function printIx(a: Ix, name: (atom: VarAtom) => string): string {
  const parts = a.terms.map(({ atom, coef }) => {
    const text =
      atom.kind === 'var'
        ? name(atom)
        : atom.kind === 'data'
          ? `@${atom.id}`
          : `(${printIx(atom.of, name)} ${atom.kind === 'div' ? '/' : '%'} ${atom.by})`;
    return coef === 1 ? text : `${coef}*${text}`;
  });
  if (a.constant !== 0 || parts.length === 0) parts.push(String(a.constant));
  return parts.join(' + ').replaceAll('+ -', '- ');
}
