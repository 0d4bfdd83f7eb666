/**
 * Where emission stands in a loop nest: the lanes that values have at the moment, the registers of loop variables, and
 * what has been emitted already, per scope, so that it is not emitted again inside. Imports level 1 and the loop IR.
 */
import type { Expr, Tracer } from '../expr.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { ProgramContext } from './context.ts';

/** How the loop nest is being walked at the moment. */
export interface Mode {
  /** Lanes of values that depend on the lane variable. */
  readonly lanes: number;
  /** Vectors side by side: copy u stands u * lanes further along the lane variable. */
  readonly copies: number;
  /**
   * Leading lanes that exist, where not all do (one copy, and a target that masks memory): the others compute what
   * nobody sees.
   */
  readonly active?: number;
  /** The same as a mask that is only known at run time. */
  readonly mask?: Reg;
}

export const SCALAR: Mode = { lanes: 1, copies: 1 };

/** A place of a loop nest: what has been emitted around it, and where its loops are. */
export interface Place {
  readonly scopes: Map<string, Reg>[];
  readonly vars: Map<VarAtom, Reg>;
}

export class Walk {
  readonly b: LoopBuilder;
  readonly context: ProgramContext;
  readonly tracer: Tracer;
  /** The variable that vectors run along; null for scalar code. */
  readonly lane: VarAtom | null;
  /** Bytes of a lane of the kernel's vectors. */
  readonly laneBytes: number;
  mode: Mode = SCALAR;
  private readonly laneBit: number;
  private varRegs = new Map<VarAtom, Reg>();
  private scopes: Map<string, Reg>[] = [new Map()];

  constructor(b: LoopBuilder, context: ProgramContext, tracer: Tracer, lane: VarAtom | null, laneBytes: number) {
    this.b = b;
    this.context = context;
    this.tracer = tracer;
    this.lane = lane;
    this.laneBit = lane ? 2 ** tracer.vars.indexOf(lane) : 0;
    this.laneBytes = laneBytes;
  }

  /** Runs `fill`; what it emits is forgotten afterwards. */
  scoped(fill: () => void): void {
    this.scopes.push(new Map());
    fill();
    this.scopes.pop();
  }

  /** A place of its own that knows what is known here. */
  fork(): Place {
    return { scopes: [...this.scopes.slice(0, -1), new Map(this.scopes.at(-1))], vars: new Map(this.varRegs) };
  }

  /** Runs `fill` as if the loops stood at `place`, which remembers what it emits. */
  at(place: Place, fill: () => void): void {
    const { scopes, varRegs } = this;
    this.scopes = place.scopes;
    this.varRegs = place.vars;
    fill();
    this.scopes = scopes;
    this.varRegs = varRegs;
  }

  setVar(variable: VarAtom, reg: Reg): void {
    this.varRegs.set(variable, reg);
  }

  varReg(variable: VarAtom): Reg {
    const reg = this.varRegs.get(variable);
    if (!reg) throw new Error('internal: an index uses a loop variable outside of its loop');
    return reg;
  }

  recall(key: string): Reg | undefined {
    for (let s = this.scopes.length - 1; s >= 0; s--) {
      const found = this.scopes[s]!.get(key);
      if (found) return found;
    }
    return undefined;
  }

  remember(key: string, reg: Reg): Reg {
    this.scopes[this.scopes.length - 1]!.set(key, reg);
    return reg;
  }

  memo(key: string, make: () => Reg): Reg {
    return this.recall(key) ?? this.remember(key, make());
  }

  /** Whether the value differs from lane to lane at the moment. */
  isVector(e: Expr): boolean {
    return this.mode.lanes > 1 && (e.mask & this.laneBit) !== 0;
  }

  dependsOnLane(ix: Ix): boolean {
    return this.mode.lanes > 1 && (this.tracer.ixMask(ix) & this.laneBit) !== 0;
  }

  /** The mask of the lanes that exist; null where all do. */
  activeMask(): Reg | null {
    const { lanes, active, mask } = this.mode;
    if (mask) return mask;
    if (active === undefined) return null;
    return this.memo('active', () => this.b.firstLanes(this.b.i32(active), lanes));
  }

  /** Whether some of the lanes may not exist. */
  get partial(): boolean {
    return this.mode.active !== undefined || this.mode.mask !== undefined;
  }

  /** Runs `fill` for lanes that may not exist only where they do. */
  whereActive(lane: number, fill: () => void): void {
    const { mask } = this.mode;
    if (mask) this.b.if(this.b.extract(mask, lane), fill);
    else fill();
  }

  /** A vector of as many scalars as there are lanes. */
  gather(single: (lane: number) => Reg): Reg {
    const { b } = this;
    const { lanes } = this.mode;
    let vector = b.splat(single(0), lanes);
    for (let lane = 1; lane < lanes; lane++) vector = b.insert(vector, lane, single(lane));
    return vector;
  }
}
