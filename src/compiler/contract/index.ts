/**
 * The contraction kernel: one lowering for matmul, einsum and convolution with its gradients. `lowerContract` emits a
 * whole kernel body. May import the graph's dtypes and reindex algebra, the loop IR and the target; must not know
 * nodes, fusion or backends.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { lanesFor, type Target } from '../target.ts';
import { lowerChannels, suitsChannels } from './channels.ts';
import { chosenPlan } from './choices.ts';
import { lowerDot, suitsDot } from './dot.ts';
import { lowerEmpty } from './empty.ts';
import { lowerNaive } from './naive.ts';
import { lowerParts, lowerWords, suitsParts, suitsWords } from './packed/index.ts';
import { stage, stagedLayout } from './pad.ts';
import { lowerPanels } from './panels.ts';
import { lowerPixels, suitsPixels, suitsPixelsInBlocks } from './pixels/index.ts';
import { besideWeights, planOf } from './plan.ts';
import { extent, jumps, type Problem, problemsOf, type View } from './problem.ts';
import { accumulator, type ContractSpec, type Room, type Scratch } from './spec.ts';
import { lowerTaps, suitsTaps } from './taps/index.ts';
import { lowerWinograd, suitsWinograd, suitsWinogradInWords } from './winograd/index.ts';

export type {
  AccScalar,
  ContractDim,
  ContractOperand,
  ContractSpec,
  OperandAxis,
  OperandSite,
  OutputSite,
  Role,
  Room,
  Scratch,
} from './spec.ts';

/**
 * Emits the body of one kernel that computes `spec`: parallel regions and barriers at top level, so the caller must be
 * at top level itself. Scratch buffers come through `scratch`. Results do not depend on the number of threads.
 */
export function lowerContract(b: LoopBuilder, spec: ContractSpec, target: Target, scratch: Scratch): void {
  if (spec.dims.some(dim => dim.role !== 'k' && dim.size === 0)) return;
  const lanes = lanesFor(target, bytesOf(accumulator(spec)));
  const masks = target.masksMemory === true && bytesOf(accumulator(spec)) === 4;
  const problems = spec.dims.some(dim => dim.size === 0) ? null : problemsOf(spec, lanes, masks);
  if (!problems) {
    lowerNaive(b, spec);
    return;
  }
  for (const [i, p] of problems.entries()) {
    if (i > 0) b.barrier();
    const named =
      (room: Room): Room =>
      (name, dtype, elements) =>
        room(`${name} ${i}`, dtype, elements);
    const own: Scratch = { ...scratch, room: named(scratch.room), kept: named(scratch.kept) };
    if (extent(p, p.k) === 0) lowerEmpty(b, p, lanes);
    else if (suitsChannels(p, target)) lowerChannels(b, p, target, own);
    else if (suitsWinogradInWords(p, target) || (!suitsPixelsInBlocks(p, target) && suitsWinograd(p, target)))
      lowerWinograd(b, p, target, own);
    else if (suitsPixels(p, target)) lowerPixels(b, p, target, own);
    else if (suitsWords(p, target)) lowerStaged(b, p, target, own, 'words');
    else if (suitsDot(p, target)) lowerDot(b, p, target, own);
    else if (suitsTaps(p, target)) lowerTaps(b, p, target, own);
    else lowerStaged(b, p, target, own, suitsParts(p, target) ? 'parts' : 'panels');
  }
}

/**
 * From so many reads of an element on, a padded copy costs less than the guards while packing (3x3, 128 channels,
 * 16x16: 51 -> 55 GFLOP/s).
 */
const READS_WORTH_STAGING = 3;

/** A blocked schedule, behind padded copies of what is guarded and read often; words have no guards at all. */
function lowerStaged(
  b: LoopBuilder,
  p: Problem,
  target: Target,
  scratch: Scratch,
  by: 'words' | 'parts' | 'panels',
): void {
  const inWords = by === 'words';
  const lanes = lanesFor(target, bytesOf(p.acc));
  const ready = (view: View, minor: readonly number[], name: string): View => {
    const reads = (extent(p, p.k) * extent(p, minor) * extent(p, p.batch)) / view.elements;
    // An image beside packed weights is then read in place, whatever its windows.
    const often = inWords || reads >= (besideWeights(p) && view === p.a ? 1.5 : READS_WORTH_STAGING);
    const other = view === p.a ? p.b : p.a;
    const worth = view.guards.length > 0 ? often : !view.packedAhead && !other.packedAhead && jumps(p, view, other);
    return worth && stagedLayout(p, view) !== null
      ? stage(b, p, view, lanes, name, scratch, 0, inWords ? view.dtype : p.acc)
      : view;
  };
  const staged = { ...p, a: ready(p.a, p.m, 'staged a'), b: ready(p.b, p.n, 'staged b') };
  if (staged.a !== p.a || staged.b !== p.b) b.barrier();
  if (by === 'words') lowerWords(b, staged, target, scratch);
  else if (by === 'parts') lowerParts(b, staged, target, scratch);
  else lowerPanels(b, staged, planOf(staged, target, chosenPlan(staged, target)), scratch);
}
