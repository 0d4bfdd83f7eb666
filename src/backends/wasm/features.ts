/**
 * What this WebAssembly engine can do, found by validating and running tiny modules; and the engine flags Tenon sets in
 * Node.
 */
import { setEngineFlags } from '../../launch/engine.ts';
import { encodeModule, type FunctionType } from './encoder.ts';
import { FunctionWriter } from './function-writer.ts';
import { SIMD } from './opcodes.ts';

const NO_TYPE: FunctionType = { params: [], results: [] };

/** A module with the function `probe(): f32` and a memory import. */
function probeModule(fill: (w: FunctionWriter) => void, shared: boolean): Uint8Array<ArrayBuffer> {
  const w = new FunctionWriter(0);
  fill(w);
  return encodeModule({
    types: [{ ...NO_TYPE, results: ['f32'] }],
    memory: { minimum: 1, maximum: 1, shared },
    functions: [{ type: 0, locals: w.locals, code: w.code.view() }],
    exports: [['probe', 0]],
  });
}

/** (1 + e) * (1 + e) - (1 + 2e) through one relaxed madd: e * e when it rounds once, 0 when the product is rounded. */
function maddProbe(w: FunctionWriter): void {
  const e = 2 ** -13;
  for (const value of [1 + e, 1 + e, -(1 + 2 * e)]) {
    w.f32(value);
    w.simd(SIMD.f32x4Splat);
  }
  w.simd(SIMD.f32x4RelaxedMadd);
  w.lane(SIMD.f32x4ExtractLane, 0);
}

export interface Features {
  readonly simd: boolean;
  /** Whether relaxed madd exists and rounds once on this machine. */
  readonly fusedMadd: boolean;
}

let found: Features | null = null;

/** The engine's features; turns relaxed SIMD on in Node versions that keep it behind a flag. */
export function features(): Features {
  if (found) return found;
  const simd = WebAssembly.validate(
    probeModule(w => {
      w.splatBits(0);
      w.lane(SIMD.f32x4ExtractLane, 0);
    }, false),
  );
  const madd = probeModule(maddProbe, false);
  if (!WebAssembly.validate(madd)) setEngineFlags('--experimental-wasm-relaxed-simd');
  let fusedMadd = false;
  if (WebAssembly.validate(madd)) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(madd), { env: { memory } });
    fusedMadd = (instance.exports['probe'] as () => number)() === 2 ** -26;
  }
  found = { simd, fusedMadd };
  return found;
}

/**
 * Compiles a module. V8 starts every function in its baseline tier and has no way to leave it in the middle of a call,
 * so the first step of a large program would run at a third of the speed. `optimise` therefore has the optimising tier
 * compile everything at once, where flags can be set (docs/decisions/003-wasm-tiers.md has the figures); elsewhere, and
 * for small programs, V8 tiers up by itself.
 */
export function compileModule(bytes: Uint8Array<ArrayBuffer>, optimise: boolean): WebAssembly.Module {
  if (!optimise || !setEngineFlags('--no-liftoff', '--no-wasm-lazy-compilation')) return new WebAssembly.Module(bytes);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    setEngineFlags('--liftoff', '--wasm-lazy-compilation');
  }
}
