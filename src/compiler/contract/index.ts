/**
 * The contraction kernel: one lowering for matmul, einsum and convolution with its gradients. `lowerContract` emits a whole kernel body.
 * May import the graph's dtypes and reindex algebra, the loop IR and the target; must not know nodes, fusion or backends.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import { lowerDot, suitsDot } from './dot.ts';
import { lowerEmpty } from './empty.ts';
import { lowerNaive } from './naive.ts';
import { lowerPanels } from './panels.ts';
import { planOf } from './plan.ts';
import { extent, problemsOf } from './problem.ts';
import { accumulator, type ContractSpec, type Scratch } from './spec.ts';
import { lowerTaps, suitsTaps } from './taps.ts';

export type {
  AccScalar,
  ContractDim,
  ContractOperand,
  ContractSpec,
  OperandAxis,
  OperandSite,
  OutputSite,
  Role,
  Scratch,
} from './spec.ts';

/**
 * Emits the body of one kernel that computes `spec`: parallel regions and barriers at top level, so the caller must be at top level
 * itself. Scratch buffers come through `scratch`. Results do not depend on the number of threads.
 */
export function lowerContract(b: LoopBuilder, spec: ContractSpec, target: Target, scratch: Scratch): void {
  if (spec.dims.some(dim => dim.role !== 'k' && dim.size === 0)) return;
  const lanes = lanesFor(target, bytesOf(accumulator(spec)));
  const problems = spec.dims.some(dim => dim.size === 0) ? null : problemsOf(spec, lanes);
  if (!problems) {
    lowerNaive(b, spec);
    return;
  }
  for (const [i, p] of problems.entries()) {
    if (i > 0) b.barrier();
    const own: Scratch = (name, dtype, elements) => scratch(`${name} ${i}`, dtype, elements);
    if (extent(p, p.k) === 0) lowerEmpty(b, p, lanes);
    else if (suitsDot(p, target)) lowerDot(b, p, target, own);
    else if (suitsTaps(p, target)) lowerTaps(b, p, target, own);
    else lowerPanels(b, p, planOf(p, target), own);
  }
}
