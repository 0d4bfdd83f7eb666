/**
 * Lowers a chain: every task takes a batch (or some of its rows), packs the operands that all rows share, and goes
 * through blocks of rows; a block's scores lie in scratch of a few vectors per row, from the products that make them to
 * the products that read them. Blocks stop at the last column that one of their rows sees. Follows a ChainPlan.
 */
import type { Extent } from '../contract/cursor.ts';
import { chunksFor, eachTask, slotsOf } from '../contract/tasks.ts';
import { ExprPrinter, variableNames } from '../describe.ts';
import type { Value } from '../flow.ts';
import type { ChainKernel } from '../kernels.ts';
import { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from '../lower/context.ts';
import { type ChainPlan, planChain, ROWS } from './plan.ts';
import { roundUp } from './products.ts';
import { RowPasses } from './rows.ts';
import { VectorProducts } from './vectors.ts';
import { WordProducts } from './words.ts';

/** Rows of a task, where a batch may be shared out. */
const TASK_ROWS = 4 * ROWS;
/** Tasks from which on batches are not cut. */
const TASKS = 16;

export function lowerChain(
  kernel: ChainKernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
): LoweredKernel {
  const buffers = new KernelBuffers(context.windows);
  const plan = planChain(kernel, context, realised, buffers);
  if (!plan) throw new Error('internal: a chain that was planned cannot be lowered');
  const b = new LoopBuilder(context.target);
  writeChain(b, plan, context, buffers);
  const { batches, rows, columns } = plan;
  const products = plan.scores.length + plan.results.length;
  return {
    loop: {
      name: `${name} chain [${batches} x ${rows} x ${columns}] of ${products} products`,
      buffers: buffers.buffers,
      body: b.instructions,
    },
    refs: buffers.refs,
    mayFail: plan.results.some(result => result.mayFail()),
    single: false,
    inPlace: [],
    describe: () => describe(plan),
  };
}

function describe(plan: ChainPlan): string[] {
  const { batch, row, column } = plan.vars;
  const name = variableNames([...batch, row, column]);
  const printer = new ExprPrinter([...plan.stores.map(s => s.expr), ...plan.ends.values()], name);
  const seen = plan.seen === null ? '' : `, ${name(column)} < ${name(row)} + ${plan.seen.reach} only`;
  return [
    `for ${[...batch, row].map(v => `${name(v)} < ${v.extent}`).join(', ')}, ${name(column)} < ${plan.columns} (summed)${seen}`,
    ...printer.lines,
    ...plan.stores.map(s => `v${s.value.id}[${printer.index(s.ix)}] = ${printer.text(s.expr)}`),
    ...[...plan.ends].map(([value, e]) => `v${value.id} = ${printer.text(e)}`),
    ...plan.results.map(r => `a product sums v${r.read.id} over ${name(r.of === 'rows' ? column : row)}`),
  ];
}

function writeChain(b: LoopBuilder, plan: ChainPlan, context: ProgramContext, buffers: KernelBuffers): void {
  const { batches, rows, columns, results } = plan;
  // Sums over rows keep a batch together.
  const whole = results.some(result => result.of === 'columns') || batches >= TASKS;
  const pieces = whole ? 1 : chunksFor(batches, TASKS, rows / TASK_ROWS);
  const pieceRows = roundUp(Math.ceil(rows / pieces), ROWS);
  const piecesEach = Math.ceil(rows / pieceRows);
  const tasks = batches * piecesEach;
  const Products = plan.on === 'words' ? WordProducts : VectorProducts;
  const products = new Products(b, plan, context, buffers, slotsOf(tasks));
  const passes = new RowPasses(b, plan, context, buffers, products);

  eachTask(b, tasks, (task, slot) => {
    const batch = piecesEach === 1 ? task : b.bin('divU', task, b.i32(piecesEach));
    const from: Extent = piecesEach === 1 ? 0 : b.mul(b.bin('remU', task, b.i32(piecesEach)), b.i32(pieceRows));
    const until: Extent = piecesEach === 1 ? rows : b.bin('min', b.add(from as Reg, b.i32(pieceRows)), b.i32(rows));
    const own = products.enter(slot, batch);
    b.for(from, until, ROWS, first => {
      const count = rows % ROWS === 0 ? ROWS : b.bin('min', b.i32(ROWS), b.sub(b.i32(rows), first));
      const limit: Extent =
        plan.seen === null
          ? columns
          : b.bin(
              'min',
              b.i32(columns),
              b.add(b.add(first, count === ROWS ? b.i32(ROWS) : (count as Reg)), b.i32(plan.seen.reach - 1)),
            );
      const block = { first, count, limit };
      own.makeScores(block);
      passes.emit(slot, batch, block);
      own.multiply(block);
    });
    own.finish();
  });
}
