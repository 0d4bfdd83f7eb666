/**
 * Models without a network: logistic regression, factorisation machine, field-aware factorisation machine.
 */
import { fieldAwareSum, pairwiseSum } from '../../models/interactions.ts';
import { Linear, Module } from '../../nn/index.ts';
import { Parameter, type Tensor, zeros } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { type ModelOptions, type SparseInput, SparseModel, single, type TableNeeds } from './model.ts';
import { MODEL } from './optionNames.ts';

/** A bias, weights of the dense columns and the sum of the wide weights. */
class LinearPart extends Module<[SparseInput]> {
  readonly bias = new Parameter(zeros([1]));
  readonly dense: Linear | null;

  constructor(columns: number) {
    super();
    this.dense = columns > 0 ? new Linear(columns, 1, { bias: false }) : null;
  }

  /** [B] */
  forward(input: SparseInput): Tensor {
    const sum = input.wide.sum(1).add(this.bias);
    return this.dense ? sum.add(this.dense.call(input.dense).squeeze(1)) : sum;
  }
}

/** A model with a linear part. */
export abstract class LinearModel extends SparseModel {
  readonly linear: LinearPart;

  constructor({ schema }: ModelOptions, needs: TableNeeds, sequences: Readonly<Record<string, number>> = {}) {
    super(schema, needs, sequences);
    this.linear = new LinearPart(schema.dense.length);
  }
}

/** Logistic regression: one weight per sign. */
export class LR extends LinearModel {
  constructor(options: Pick<ModelOptions, 'schema'>) {
    super(checkOptions('LR', options, ['schema']), { dim: 0, wide: true });
  }

  forward(input: SparseInput): Tensor {
    return single(this.linear.call(input));
  }
}

/** Factorisation machine (Rendle 2010). */
export class FM extends LinearModel {
  constructor(options: ModelOptions) {
    super(checkOptions('FM', options, MODEL), { dim: options.dim ?? 10, wide: true });
  }

  forward(input: SparseInput): Tensor {
    return single(this.linear.call(input).add(pairwiseSum(input.vectors)));
  }
}

/** Field-aware factorisation machine (Juan et al. 2016): `dim` (4) weights per sign and other field. */
export class FFM extends LinearModel {
  constructor(options: ModelOptions) {
    const { schema, dim = 4 } = checkOptions('FFM', options, MODEL);
    super(options, { dim: schema.slots.length * dim, wide: true });
  }

  forward(input: SparseInput): Tensor {
    return single(this.linear.call(input).add(fieldAwareSum(input.vectors)));
  }
}
