/**
 * The contraction kernel: one lowering for matmul, einsum and convolution with its gradients. `lowerContract` emits a whole kernel body.
 * May import the graph's dtypes and reindex algebra, the loop IR and the target; must not know nodes, fusion or backends.
 */
import type { LoopBuilder } from '../loops.ts';
import type { Target } from '../target.ts';
import { lowerNaive } from './naive.ts';
import type { ContractSpec, Scratch } from './spec.ts';

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
  void target;
  void scratch;
  lowerNaive(b, spec);
}
