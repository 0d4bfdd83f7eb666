/**
 * What an embedding table is made of: plain data, so that it stands in config files and in the header of saved tables.
 */
import {
  byType,
  check,
  either,
  flag,
  type Kind,
  notNegative,
  number,
  options,
  pair,
  positive,
  share,
  text,
  whole,
} from '../check.ts';

/** How a row's weights change by a gradient. Every one keeps its state in the row. */
export type RowOptimizer =
  /** w -= lr g. lr 0.05. */
  | { readonly type: 'sgd'; readonly lr?: number }
  /**
   * One accumulator per row, of gradients per show (PaddlePaddle's CTR accessor): g = gradient / shows; w -= lr g
   * sqrt(g0 / (g0 + G)); G += mean(g^2). lr 0.05, g0 = initialG2sum 3; weights stay within `bound` (10).
   */
  | { readonly type: 'rowAdagrad'; readonly lr?: number; readonly initialG2sum?: number; readonly bound?: number }
  /**
   * One accumulator per weight, PyTorch's: G += g^2; w -= lr g / (sqrt(G) + eps). lr 0.01, initialAccumulator 0, eps
   * 1e-10.
   */
  | {
      readonly type: 'adagrad';
      readonly lr?: number;
      readonly initialAccumulator?: number;
      readonly eps?: number;
    }
  /**
   * PyTorch's SparseAdam: moments move only when the row is pushed; the bias is corrected by the table's step count. lr
   * 1e-3, betas 0.9 and 0.999, eps 1e-8.
   */
  | {
      readonly type: 'adam';
      readonly lr?: number;
      readonly betas?: readonly [number, number];
      readonly eps?: number;
    }
  /**
   * One pair of moments per row, the means over its weights, with the row's own step count. lr 1e-3, betas 0.9 and
   * 0.999, eps 1e-8.
   */
  | {
      readonly type: 'sharedAdam';
      readonly lr?: number;
      readonly betas?: readonly [number, number];
      readonly eps?: number;
    }
  /** FTRL-Proximal (McMahan et al., KDD 2013), per weight: lr 0.05 (their alpha), beta 1, l1 0, l2 0. */
  | {
      readonly type: 'ftrl';
      readonly lr?: number;
      readonly beta?: number;
      readonly l1?: number;
      readonly l2?: number;
    };

const rate = { lr: positive };
const adam = { ...rate, betas: pair(share), eps: notNegative };

/** What a row optimizer may say. */
const ROW_OPTIMIZER: Kind = byType<RowOptimizer>({
  sgd: rate,
  rowAdagrad: { ...rate, initialG2sum: positive, bound: positive },
  adagrad: { ...rate, initialAccumulator: notNegative, eps: notNegative },
  adam,
  sharedAdam: adam,
  ftrl: { ...rate, beta: notNegative, l1: notNegative, l2: notNegative },
});

/**
 * When a new sign gets its vector. Until then a row has one weight (`wide`) and no vector; a pull of the vector gives
 * zeros. `always`: at once. `probability`: the row is created at all with probability p at each push. `count`: from n
 * shows on. `score`: from score(show, click) >= threshold (10) on, and the row itself is created with probability
 * min(1, score of its push).
 */
export type Admission =
  | { readonly type: 'always' }
  | { readonly type: 'probability'; readonly p: number }
  | { readonly type: 'count'; readonly n: number }
  | { readonly type: 'score'; readonly threshold?: number };

/**
 * Initial weights: uniform in +-range (1e-4), or normal with standard deviation `std`; a function of sign and seed
 * alone.
 */
export type InitSpec =
  | { readonly type: 'uniform'; readonly range?: number }
  | { readonly type: 'normal'; readonly std?: number };

/** Coefficients of score = (show - click) * nonclick + click * click, and what depends on it. */
export interface ScoreSpec {
  /** 0.1 */
  readonly nonclick?: number;
  /** 1 */
  readonly click?: number;
  /** `shrink` multiplies show and click by this: 0.98 */
  readonly decay?: number;
  /** `shrink` deletes rows of a lower score: 0.8 */
  readonly deleteBelow?: number;
  /** `shrink` deletes rows not pushed for more days: 30 */
  readonly deleteAfterDays?: number;
  /** Saves of mode base and delta hold rows of at least this score: 1.5 */
  readonly base?: number;
  /** Saves of mode delta hold rows whose score grew by at least this: 0.25 */
  readonly delta?: number;
  /** Saves of mode base and delta hold rows pushed within so many days: 16 */
  readonly keepDays?: number;
}

/**
 * What happens when `memoryLimit` is reached. `refuse`: new signs are not created (their pushes are counted as
 * refused), and rows that would be admitted go on waiting. `evict`: rows of the lowest score, the longest unseen first
 * among equals, make room. `spill`: further rows live in files in `folder`; the index of all signs, about 16 bytes
 * each, stays in memory.
 */
export type AtLimit = 'refuse' | 'evict' | 'spill';

export interface TableOptions {
  /** Weights of the vector; may be 0 for a table of `wide` weights alone. */
  readonly dim: number;
  /**
   * One more weight in front of the vector, with optimizer state of its own (PaddlePaddle's embed_w); false by default.
   */
  readonly wide?: boolean;
  /** { type: 'rowAdagrad' } by default. */
  readonly optimizer?: RowOptimizer;
  /** Of the wide weight; `optimizer` by default. */
  readonly wideOptimizer?: RowOptimizer;
  /** { type: 'uniform', range: 1e-4 } by default. The wide weight starts at 0. */
  readonly init?: InitSpec;
  /** { type: 'always' } by default. */
  readonly admission?: Admission;
  readonly score?: ScoreSpec;
  /** Decides initial weights and random admission; 0 by default. */
  readonly seed?: number;
  /** Bytes of rows and index; none by default. */
  readonly memoryLimit?: number;
  /** What happens at the limit; 'evict' by default, 'spill' with a folder. */
  readonly atLimit?: AtLimit;
  /**
   * A folder for rows that live in memory-mapped (where there is no koffi, paged) scratch files, for tables larger than
   * memory: with 'spill' those beyond the memory limit, otherwise all. In memory by default.
   */
  readonly folder?: string;
}

/** Options with every default filled in. */
export interface TableSettings extends Required<Omit<TableOptions, 'memoryLimit' | 'folder' | 'score'>> {
  readonly memoryLimit: number | undefined;
  readonly folder: string | undefined;
  readonly score: Required<ScoreSpec>;
}

const SCORE: Required<ScoreSpec> = {
  nonclick: 0.1,
  click: 1,
  decay: 0.98,
  deleteBelow: 0.8,
  deleteAfterDays: 30,
  base: 1.5,
  delta: 0.25,
  keepDays: 16,
};

/** What the options of a table may say, as plain data; `dim` and `wide` are the model's business where there is one. */
const OPTIONS: Kind = options<TableOptions>({
  dim: whole,
  wide: flag,
  optimizer: ROW_OPTIMIZER,
  wideOptimizer: ROW_OPTIMIZER,
  init: byType<InitSpec>({ uniform: { range: notNegative }, normal: { std: notNegative } }),
  admission: byType<Admission>(
    { always: {}, probability: { p: number }, count: { n: number }, score: { threshold: number } },
    { probability: ['p'], count: ['n'] },
  ),
  score: options<ScoreSpec>({
    nonclick: number,
    click: number,
    decay: notNegative,
    deleteBelow: number,
    deleteAfterDays: notNegative,
    base: number,
    delta: number,
    keepDays: notNegative,
  }),
  seed: whole,
  memoryLimit: number,
  atLimit: either('evict', 'refuse', 'spill'),
  folder: text,
});

/** @throws Error in one sentence for an option that is not known or cannot be */
export const checkTable = (where: string, given: Partial<TableOptions>): void => check(where, OPTIONS, given);

/** @throws Error in one sentence for an option that is not known or cannot be. */
export function settingsOf(given: TableOptions): TableSettings {
  checkTable('EmbeddingTable', given);
  const { dim, wide = false, optimizer = { type: 'rowAdagrad' }, admission = { type: 'always' }, seed = 0 } = given;
  const refuse = (name: string, came: unknown, expected: string): never => {
    throw new RangeError(`EmbeddingTable: ${name}: ${String(came)} came, expected ${expected}`);
  };
  if (!Number.isInteger(dim) || dim < 0 || (dim === 0 && !wide))
    refuse('dim', dim, wide ? 'an integer from 0' : 'an integer from 1');
  if (!Number.isInteger(seed)) refuse('seed', seed, 'an integer');
  if (admission.type === 'probability' && !(admission.p > 0 && admission.p <= 1))
    refuse('admission.p', admission.p, 'a probability above 0');
  if (admission.type === 'count' && !(admission.n >= 1)) refuse('admission.n', admission.n, 'a count from 1');
  const { memoryLimit } = given;
  if (memoryLimit !== undefined && !(memoryLimit > 0)) refuse('memoryLimit', memoryLimit, 'a number of bytes');
  const { folder } = given;
  const spills = folder !== undefined && memoryLimit !== undefined;
  const { atLimit = spills ? 'spill' : 'evict' } = given;
  if (atLimit === 'spill' && !spills)
    refuse('atLimit', atLimit, "'evict' or 'refuse' without a memoryLimit and a folder");
  return {
    dim,
    wide,
    optimizer,
    wideOptimizer: given.wideOptimizer ?? optimizer,
    init: given.init ?? { type: 'uniform' },
    admission,
    score: { ...SCORE, ...given.score },
    seed,
    memoryLimit,
    atLimit,
    folder,
  };
}
